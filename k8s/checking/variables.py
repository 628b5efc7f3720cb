"""GRADCUBE_* variables of containers, held against the settings classes of the services that read them."""

import importlib
import inspect
from collections.abc import Iterator, Mapping

from gradcube.errors import ConfigError
from gradcube.kylin.target import KylinTarget
from gradcube.settings import KafkaSettings, LogSettings, ServiceSettings, Settings

from .rendering import Object

PREFIX = "GRADCUBE_"
SHARED: tuple[type[Settings], ...] = (KafkaSettings, LogSettings)


COMMAND: tuple[type[Settings], ...] = (KylinTarget,)
"""What the gradcube command reads beside them."""


def module_of(container: Object) -> str | None:
    """The module that `python -m` runs, such as gradcube_cube; None for another program."""
    command = container.get("command", [])
    return str(command[2]) if command[:2] == ["python", "-m"] and len(command) > 2 else None


def service_of(container: Object) -> str | None:
    """The same, of one that serves our HTTP; None for Kylin's nodes, which answer at paths of their own."""
    module = module_of(container)
    return module if module and issubclass(module_settings(module)[0], ServiceSettings) else None


def module_settings(name: str) -> tuple[type[Settings], ...]:
    """The settings classes of a module: its package's own, and those of the library that it names in `ALSO_READ`."""
    module = importlib.import_module(f"{name}.settings")
    classes = [found for _, found in inspect.getmembers(module, inspect.isclass) if found.__module__ == module.__name__]
    services = [found for found in classes if issubclass(found, ServiceSettings)]
    own = next(found for found in services or classes if issubclass(found, Settings))
    return own, *getattr(module, "ALSO_READ", ())


def names(settings: type[Settings]) -> dict[str, str]:
    """Each variable of a settings class, with its field."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    return {prefix + field.upper(): field for field in settings.model_fields}


def literals(container: Object, config_maps: Mapping[str, Mapping[str, str]]) -> dict[str, str | None]:
    """The container's variables: value by name, None where the cluster fills it in; later ones win, as in a pod."""
    found: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        found |= config_maps.get(source.get("configMapRef", {}).get("name", ""), {})
    for variable in container.get("env", []):
        found[variable["name"]] = variable.get("value")
    return found


def problems(container: Object, config_maps: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Variables that nobody reads, values that the service would refuse, and what it lacks."""
    module = module_of(container)
    known = (*SHARED, *_others(container, module))
    given = {name: value for name, value in literals(container, config_maps).items() if name.startswith(PREFIX)}
    readable = {name for settings in known for name in names(settings)}
    for name in sorted(given.keys() - readable):
        yield f"{name} is read by nobody there; {module or 'the command'} knows {_similar(name, readable)}"
    for settings in known:
        yield from _refused(settings, given)


def _others(container: Object, module: str | None) -> tuple[type[Settings], ...]:
    if module:
        return module_settings(module)
    return COMMAND if container.get("command", [])[:1] == ["gradcube"] else ()


def _similar(name: str, readable: set[str]) -> str:
    prefix = "_".join(name.split("_")[:2])
    return ", ".join(sorted(each for each in readable if each.startswith(prefix)) or sorted(readable))


def _refused(settings: type[Settings], given: Mapping[str, str | None]) -> Iterator[str]:
    values = {field: given[name] for name, field in names(settings).items() if given.get(name) is not None}
    try:
        settings.load(**values)
    except ConfigError as error:
        yield str(error)
