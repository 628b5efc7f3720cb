"""Detectors that others wrote: the names of classes come in, by entry point or setting, and checked classes go out."""

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from gradcube.diagnosis.catalog import DETECTORS
from gradcube.diagnosis.detector import Detector
from gradcube.errors import ConfigError

GROUP = "gradcube.detectors"


def load(
    names: Iterable[str] = (),
    *,
    refused: Callable[[str], None],
    installed: Iterable[EntryPoint] | None = None,
) -> tuple[type[Detector], ...]:
    """gradcube's detectors, those of installed packages (entry-point group `gradcube.detectors`), and those `names`.

    A name is `module:Class`. Raises ConfigError for one of `names` that cannot be used; a package that cannot be used
    is left out, and `refused` hears why.
    """
    known = DETECTORS
    for point in sorted(entry_points(group=GROUP) if installed is None else installed, key=lambda each: each.name):
        try:
            known = _with(known, point.load(), point.value)
        except Exception as error:  # noqa: BLE001 - an installed package may raise anything; the rest goes on
            refused(f"detector {point.name!r} ({point.value}) is left out: {type(error).__name__}: {error}")
    for name in names:
        known = _with(known, _imported(name), name)
    return known


def _imported(name: str) -> object:
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"detector {name!r} cannot be loaded: {error}; write module:Class") from error


def _with(known: tuple[type[Detector], ...], kind: object, where: str) -> tuple[type[Detector], ...]:
    if kind in known:
        return known  # named twice
    if not isinstance(kind, type) or not issubclass(kind, Detector):
        raise ConfigError(
            f"{where} is {kind!r:.80}; a detector is a class that derives from gradcube.diagnosis.Detector"
        )
    missing = [name for name in ("name", "kinds", "Settings") if not hasattr(kind, name)]
    if missing:
        raise ConfigError(f"the detector {where} does not say its {', '.join(missing)}")
    try:
        kind.Settings()
    except Exception as error:  # the settings of somebody's detector may raise anything
        raise ConfigError(f"the detector {where} has no default for each setting: {error!r}") from error
    if any(each.name == kind.name for each in known):
        raise ConfigError(f"the detector {where} is named {kind.name!r}, as another; give it a name of its own")
    return (*known, kind)
