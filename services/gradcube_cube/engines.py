"""Settings in, what the desk asks out: the embedded engine alone, or Kylin beside it for the cubes that Kylin holds."""

from collections.abc import Mapping
from contextlib import ExitStack

from gradcube.cube.kylin.across import TakesGiven
from gradcube.cube.kylin.asking import Behind, KylinAsking
from gradcube.cube.kylin.either import EitherEngine
from gradcube.cube.kylin.watch import KylinWatch
from gradcube.cube.model import Catalog, CubeModel
from gradcube.cube.questions import Engine
from gradcube.errors import ConfigError
from gradcube.kylin.definitions import held
from gradcube.kylin.rest import KylinRest
from gradcube.security.secret_files import read_secret
from gradcube_cube.settings import CubeSettings


def own_cubes(settings: CubeSettings, catalog: Catalog) -> Mapping[str, CubeModel]:
    """Those that the gateway reads into its own store."""
    held = _held(settings, catalog)
    return {name: model for name, model in catalog.cubes.items() if name not in held}


def open_kylin(
    settings: CubeSettings, catalog: Catalog, embedded: TakesGiven, opening: ExitStack
) -> tuple[Engine, KylinWatch | None]:
    """What answers statements, and what watches Kylin. Both end with `opening`. Raises ConfigError."""
    if settings.kylin_url is None:
        return embedded, None
    if settings.kylin_password_file is None:
        raise ConfigError("GRADCUBE_CUBE_KYLIN_PASSWORD_FILE is not set; gradcube kylin up says where the file is")
    word = read_secret(settings.kylin_password_file, "Kylin's password file").decode().strip()
    rest = opening.enter_context(KylinRest(settings.kylin_url, settings.kylin_user, word))
    watch = KylinWatch(rest, settings.project)
    opening.callback(watch.stop)
    behind = Behind(settings.kylin_lag_records, settings.kylin_when_behind)
    kylin = KylinAsking(rest, watch, catalog, settings.project, behind, settings.query_workers)
    either = EitherEngine(catalog, embedded, kylin, _held(settings, catalog), settings.query_workers)
    opening.callback(either.close)
    opening.callback(kylin.close)
    watch.start()
    return either, watch


def _held(settings: CubeSettings, catalog: Catalog) -> frozenset[str]:
    if settings.kylin_url is None:
        return frozenset()
    return held(catalog)
