"""What the routes share: the store, what fills it, the query pool and who may ask, from start to close."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from gradcube.cube.asking import Asking
from gradcube.cube.ingest import IngestSettings
from gradcube.cube.kylin.watch import KylinWatch
from gradcube.cube.model import Catalog, load_catalog
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import PoolSettings
from gradcube.cube.store import Compactor, Store
from gradcube.cube.store_ingest import StoreIngest
from gradcube.security.audit import AuditLog, AuditSettings
from gradcube.security.limits import Admission, RateLimiter
from gradcube.security.settings import SecuritySettings
from gradcube.security.users import Users
from gradcube.security.users_file import ensure_users
from gradcube.settings import KafkaSettings
from gradcube_cube.desk import Desk
from gradcube_cube.engines import open_kylin, own_cubes
from gradcube_cube.kept import KeptResults
from gradcube_cube.settings import CubeSettings
from gradcube_cube.view_columns import ViewColumns


@dataclass(frozen=True)
class Gateway:
    """`open_gateway(...)` makes it; `close()` ends ingest at a transaction's end, then queries, then the store."""

    settings: CubeSettings
    catalog: Catalog
    users: Users
    rates: RateLimiter
    audit: AuditLog
    store: Store
    compactor: Compactor
    pool: QueryPool
    ingests: Mapping[str, StoreIngest]
    desk: Desk
    kept: KeptResults
    views: ViewColumns
    kylin: KylinWatch | None
    opened: ExitStack

    def close(self) -> None:
        """Everything that was committed is on the disk afterwards."""
        self.opened.close()


def open_gateway(settings: CubeSettings, kafka: KafkaSettings, security: SecuritySettings) -> Gateway:
    """Opens the store, begins to read every cube's topic and starts the query processes. Raises ConfigError."""
    catalog = load_catalog(settings.cubes)
    ensure_users(security.users_file, settings.password_file, settings.user)
    users = Users(security.users_file)
    rates = RateLimiter(settings.requests_per_second, settings.requests_at_once)
    with ExitStack() as opening:
        audit = AuditLog.open(security.audit_file, security.audit_key_file, _audit_settings(security))
        opening.callback(audit.close)
        own = own_cubes(settings, catalog)
        store = Store(settings.store, own.values())
        opening.callback(store.close)
        compactor = Compactor(store)
        opening.callback(compactor.stop)
        pool = QueryPool(settings.store, _pool_settings(settings))
        opening.callback(pool.close)
        reading = IngestSettings(
            settings.store.absolute(), settings.reserve_bytes, forget_history=settings.forget_history
        )
        ingests = {name: StoreIngest(store, name, kafka, reading) for name in own}
        opening.callback(_stop, ingests)
        engine, kylin = open_kylin(settings, catalog, Asking(catalog, store, pool), opening)
        desk = Desk(engine, _admission(settings), audit)
        kept = KeptResults(settings.kept_results, settings.kept_bytes, settings.kept_seconds)
        views = ViewColumns(catalog, engine, settings.timeout_seconds)
        compactor.start()
        for ingest in ingests.values():
            ingest.start()
        opened = opening.pop_all()
    return Gateway(
        settings, catalog, users, rates, audit, store, compactor, pool, ingests, desk, kept, views, kylin, opened
    )  # fmt: skip


def _pool_settings(settings: CubeSettings) -> PoolSettings:
    return PoolSettings(settings.query_workers, settings.waiting_queries, settings.memory_bytes, settings.threads)


def _admission(settings: CubeSettings) -> Admission:
    """One place is always for somebody else, and a quarter of the line."""
    workers, waiting = settings.query_workers, settings.waiting_queries
    return Admission(workers, waiting, max(1, waiting * 3 // 4), max(1, workers - 1))


def _audit_settings(security: SecuritySettings) -> AuditSettings:
    return AuditSettings(rotate_bytes=security.audit_rotate_bytes, fsync_seconds=security.audit_fsync_seconds)


def _stop(ingests: Mapping[str, StoreIngest]) -> None:
    """All at once: each may be waiting for a broker that does not answer."""
    with ThreadPoolExecutor(len(ingests)) as stopping:
        list(stopping.map(StoreIngest.stop, ingests.values()))
