"""What the routes share: the store, what fills it, the query pool and who may ask, from start to close."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from gradcube.cube.asking import Asking
from gradcube.cube.ingest import IngestSettings
from gradcube.cube.model import Catalog, load_catalog
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import PoolSettings
from gradcube.cube.store import Compactor, Store
from gradcube.cube.store_ingest import StoreIngest
from gradcube.settings import KafkaSettings
from gradcube_cube.desk import Desk
from gradcube_cube.kept import KeptResults
from gradcube_cube.passwords import Credentials, load_password
from gradcube_cube.settings import CubeSettings
from gradcube_cube.view_columns import ViewColumns

BATCH_RECORDS = 50_000


@dataclass(frozen=True)
class Gateway:
    """`open_gateway(...)` makes it; `close()` ends ingest at a transaction's end, then queries, then the store."""

    settings: CubeSettings
    catalog: Catalog
    credentials: Credentials
    store: Store
    compactor: Compactor
    pool: QueryPool
    ingests: Mapping[str, StoreIngest]
    desk: Desk
    kept: KeptResults
    views: ViewColumns
    opened: ExitStack

    def close(self) -> None:
        """Everything that was committed is on the disk afterwards."""
        self.opened.close()


def open_gateway(settings: CubeSettings, kafka: KafkaSettings) -> Gateway:
    """Opens the store, begins to read every cube's topic and starts the query processes. Raises ConfigError."""
    catalog = load_catalog(settings.cubes)
    credentials = Credentials(settings.user, load_password(settings.password_file))
    with ExitStack() as opening:
        store = Store(settings.store, catalog.cubes.values())
        opening.callback(store.close)
        compactor = Compactor(store)
        opening.callback(compactor.stop)
        pool = QueryPool(settings.store, _pool_settings(settings))
        opening.callback(pool.close)
        reading = IngestSettings(settings.store.absolute(), settings.reserve_bytes, BATCH_RECORDS)
        ingests = {name: StoreIngest(store, name, kafka, reading) for name in catalog.cubes}
        opening.callback(_stop, ingests)
        desk = Desk(Asking(catalog, store, pool), pool)
        kept = KeptResults(settings.kept_results, settings.kept_bytes, settings.kept_seconds)
        views = ViewColumns(catalog, store, pool, settings.timeout_seconds)
        compactor.start()
        for ingest in ingests.values():
            ingest.start()
        opened = opening.pop_all()
    return Gateway(settings, catalog, credentials, store, compactor, pool, ingests, desk, kept, views, opened)


def _pool_settings(settings: CubeSettings) -> PoolSettings:
    return PoolSettings(settings.query_workers, settings.waiting_queries, settings.memory_bytes, settings.threads)


def _stop(ingests: Mapping[str, StoreIngest]) -> None:
    for ingest in ingests.values():
        ingest.stop()
