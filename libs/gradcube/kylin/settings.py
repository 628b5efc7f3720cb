"""What the local Kylin is told: GRADCUBE_KYLIN_*."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gradcube.settings import Settings


class KylinSettings(Settings):
    """`KylinSettings.load(directory=Path("kylin"))`. All listen on 127.0.0.1 alone, receiver n on receiver_port + n."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_KYLIN_")

    directory: Path
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
