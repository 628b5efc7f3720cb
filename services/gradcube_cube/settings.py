"""What the gateway is told: GRADCUBE_CUBE_*."""

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gradcube.cube.questions import Limits
from gradcube.errors import ConfigError
from gradcube.security.settings import SecuritySettings
from gradcube.settings import ServiceSettings

ALSO_READ = (SecuritySettings,)
_GONE = {
    "GRADCUBE_CUBE_DATABASE": "GRADCUBE_CUBE_STORE to a directory, which is filled from the topics",
    "GRADCUBE_CUBE_CUBE_FILE": "GRADCUBE_CUBE_CUBES to the folder of the cube files",
}


def _state_dir() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "gradcube"


class CubeSettings(ServiceSettings):
    """`CubeSettings.load(port=0, store=Path("store"))`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_CUBE_")

    port: int = Field(default=7070, ge=0, le=65535)
    store: Path = Field(default_factory=lambda: _state_dir() / "cube")
    """The directory of all cubes; beside it only users, the first password and the audit chain are written."""
    password_file: Path = Field(default_factory=lambda: _state_dir() / "cube-password")
    """Of the administrator of the first start; made with a random one (mode 600) when it is not there."""
    user: str = "ADMIN"
    """The administrator's name at the first start; later ones: gradcube user."""
    project: str = Field(default="gradcube", pattern=r"^[A-Za-z0-9_]+$")
    cubes: Path | None = None
    """A folder of declarations; default: schemas/cubes."""
    row_limit: int = Field(default=50_000, ge=1)
    """Of an answer in Kylin's JSON."""
    stream_row_limit: int = Field(default=1_000_000, ge=1)
    """Of an answer in Arrow or CSV, and of one that is kept."""
    result_bytes: int = Field(default=64 * 2**20, ge=1024)
    timeout_seconds: float = Field(default=30.0, gt=0)
    memory_limit: str = Field(default="1GB", pattern=r"^[0-9]+(MB|GB)$")
    """Of each query process; the store's merges take at most 512 MB beside them."""
    threads: int = Field(default=2, ge=1)
    """Of each query process."""
    query_workers: int = Field(default=3, ge=1)
    """Processes; one user takes all but one of them."""
    waiting_queries: int = Field(default=128, ge=1)
    requests_per_second: float = Field(default=200.0, gt=0)
    """Of one user, after `requests_at_once`."""
    requests_at_once: int = Field(default=1000, ge=1)
    kept_results: int = Field(default=64, ge=1)
    """Answers of asynchronous queries at once: the oldest that are done make room."""
    kept_bytes: int = Field(default=256 * 2**20, ge=1024)
    kept_seconds: float = Field(default=600.0, gt=0)
    async_timeout_seconds: float = Field(default=300.0, gt=0)
    reserve_bytes: int = Field(default=64 * 2**20, ge=0)
    """Ingest stops while less is free on the store's disk."""
    forget_history: bool = False
    """A changed cube is switched to its new version even if rows are lost that the topic no longer has."""

    kylin_url: str | None = Field(default=None, pattern=r"^https?://[^/@?#]+$")
    """Of a Kylin's server; the cubes that it can hold are asked there, and not read into the store."""
    kylin_user: str = "GATEWAY"
    kylin_password_file: Path | None = None
    """Of that account, of mode 600; `gradcube kylin up` says where it is."""
    kylin_when_behind: Literal["answer", "wait", "refuse"] = "answer"
    """While Kylin's receivers have more than `kylin_lag_records` unread: answer as partial, wait, or refuse."""
    kylin_lag_records: int = Field(default=1000, ge=0)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """As every settings class. Raises ConfigError for a variable of earlier versions, with the one to set."""
        for name, instead in _GONE.items():
            if name in os.environ:
                raise ConfigError(f"{name} is no longer read; unset it, and set {instead}")
        return super().load(**overrides)

    @property
    def memory_bytes(self) -> int:
        """Of each query process."""
        return int(self.memory_limit[:-2]) * (10**6 if self.memory_limit.endswith("MB") else 10**9)

    @property
    def kylin_limits(self) -> Limits:
        """Of a statement on Kylin's own route."""
        return Limits(self.row_limit, self.result_bytes, self.timeout_seconds)

    @property
    def stream_limits(self) -> Limits:
        """Of a statement whose answer is streamed."""
        return Limits(self.stream_row_limit, self.result_bytes, self.timeout_seconds)

    @property
    def async_limits(self) -> Limits:
        """Of a statement that nobody waits for."""
        return Limits(self.stream_row_limit, min(self.result_bytes, self.kept_bytes), self.async_timeout_seconds)
