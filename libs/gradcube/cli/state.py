"""The state file of local services: what runs, where it answers, how to log in. up and demo write it."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gradcube.cli.paths import home
from gradcube.cli.processes import LocalProcess
from gradcube.errors import ConfigError
from gradcube.settings import KafkaSettings

PROJECT = "gradcube"
USER = "ADMIN"


@dataclass(frozen=True)
class LocalState:
    """Addresses of the local services; `processes` in the order in which they were started."""

    home: str
    bootstrap: str
    gateway: str
    coordinator: str
    metrics: str
    password_file: str
    processes: list[LocalProcess] = field(default_factory=list)

    def kafka(self) -> KafkaSettings:
        """How to reach the local broker."""
        return KafkaSettings.load(bootstrap=self.bootstrap)

    def kylin_url(self) -> str:
        """The gateway's address for kylinpy; holds the password, so never print it."""
        try:
            password = Path(self.password_file).read_text().strip()
        except OSError as error:
            raise ConfigError(f"the gateway's password file cannot be read: {error}; run gradcube up") from error
        return f"kylin://{USER}:{password}@{self.gateway}/{PROJECT}?version=v1"


def path_of(folder: Path) -> Path:
    """Where the state of the services in `folder` is kept."""
    return folder / "state.json"


def write(state: LocalState) -> None:
    """Replaces the state file in one step."""
    target = path_of(Path(state.home))
    draft = target.with_suffix(".new")
    draft.write_text(json.dumps(asdict(state), indent=2) + "\n")
    os.replace(draft, target)


def read(folder: Path | None = None) -> LocalState | None:
    """The state of `folder` (default: the user's), or None when nothing was started there."""
    target = path_of(folder or home())
    try:
        raw = json.loads(target.read_text())
        processes = [LocalProcess(**process) for process in raw.pop("processes")]
        return LocalState(**raw, processes=processes)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{target} is not a state file of gradcube ({error}); remove it and run gradcube up"
        ) from error


def running() -> LocalState | None:
    """The user's local services, if any of them is alive."""
    state = read()
    return state if state is not None and any(process.alive() for process in state.processes) else None


def require() -> LocalState:
    """The same. Raises ConfigError with the way out when there are none."""
    state = running()
    if state is None:
        raise ConfigError("no local services are running; start them with: gradcube up")
    return state
