"""What the local Kylin is told: GRADCUBE_KYLIN_*."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from gradcube.settings import Settings

ANY = "0.0.0.0"  # noqa: S104 - every address of a pod, when somebody asks for it


class KylinSettings(Settings):
    """`KylinSettings.load(directory=Path("kylin"))`. All listen on `host` alone, receiver n on receiver_port + n."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_KYLIN_")

    directory: Path
    host: str = "127.0.0.1"
    """Where the nodes listen. Receivers and ZooKeeper answer whoever reaches them there."""
    name: str | None = Field(default=None, pattern=r"^[^\s:_/]+$")
    """The host name by which the other nodes, and who asks, know this one; default: `host`."""
    zookeeper: str | None = Field(default=None, pattern=r"^[^\s/]+:[0-9]+$")
    """Host and port of a ZooKeeper elsewhere; default: this one's."""
    shared: Path | None = None
    """A folder that the server and all receivers see, for Kylin's metadata; default: `directory`."""
    passwords: Path | None = None
    """The folder of `password-admin` and `password-gateway`, of mode 600; default: `directory`."""
    zookeeper_port: int = Field(default=2181, ge=1, le=65535)
    server_port: int = Field(default=7170, ge=1, le=65535)
    receiver_port: int = Field(default=9091, ge=1, le=65435)
    health_port: int = Field(default=0, ge=0, le=65535)
    """Of the supervisor, 0 for any."""
    receivers: int = Field(default=1, ge=1, le=16)
    zookeeper_mib: int = Field(default=128, ge=64)
    server_mib: int = Field(default=1024, ge=512)
    receiver_mib: int = Field(default=768, ge=256)
    """Heap of each process; beside it a process takes about 150 MiB."""
    start_seconds: float = Field(default=120.0, gt=0)
    """A process that does not answer by then is ended, and started again later."""

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        if self.host == ANY and self.name is None:
            raise ValueError(f"with HOST {ANY}, set NAME to the host name by which others reach this node")
        return self

    @property
    def known_as(self) -> str:
        """The name in Kylin's metadata and in ZooKeeper."""
        return self.name or self.host

    @property
    def zookeeper_address(self) -> str:
        """Whom server and receivers ask who is there."""
        return self.zookeeper or f"{'127.0.0.1' if self.host == ANY else self.host}:{self.zookeeper_port}"
