"""GRADCUBE_COORDINATOR_*: what the coordinator can be told."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gradcube.settings import ServiceSettings


class CoordinatorSettings(ServiceSettings):
    """`CoordinatorSettings.load(port=8080)`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_COORDINATOR_")

    port: int = Field(default=8080, ge=0, le=65535)
    lease_seconds: float = Field(default=3, gt=0)
    """A worker or shard silent for that long is lost; it beats three times as often or more."""
