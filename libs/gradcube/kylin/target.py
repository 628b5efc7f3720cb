"""Which Kylin the command deploys to: GRADCUBE_KYLIN_URL and those beside it."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gradcube.settings import Settings


class KylinTarget(Settings):
    """Where `gradcube cube --target kylin` goes in place of the Kylin of `gradcube kylin up`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_KYLIN_")

    url: str | None = Field(default=None, pattern=r"^https?://[^/@?#]+$")
    """Of its server; default: the local Kylin."""
    password_file: Path | None = None
    """Of ADMIN, of mode 600."""
    replicas: int = Field(default=1, ge=1, le=16)
    """Receivers of a set, which read the same."""
    receivers: int = Field(default=1, ge=1, le=64)
    """So many must have come before a cube is made: one that comes later reads nothing of it."""
