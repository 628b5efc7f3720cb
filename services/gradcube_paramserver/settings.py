"""GRADCUBE_PARAMSERVER_*: what a parameter server can be told."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_settings import SettingsConfigDict

from gradcube.settings import ServiceSettings


class ParamserverSettings(ServiceSettings):
    """`ParamserverSettings.load(job="bert", shard=0, shards=1)`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_PARAMSERVER_")

    job: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    shard: int = Field(default=0, ge=0)
    shards: int = Field(default=1, gt=0, le=10_000)
    data_port: int = Field(default=0, ge=0, le=65535)
    """Port for trainers; 0 takes any free one."""
    address: str = ""
    """Where trainers reach the data port, as host:port; by default HOST and the data port."""
    coordinator_url: str = "http://127.0.0.1:8080"
    optimizer: Literal["sgd", "adamw"] = "adamw"
    weight_decay: float = Field(default=0.01, ge=0)
    checkpoint_dir: Path | None = None
    checkpoint_every: int = Field(default=100, gt=0)
    """Versions between checkpoints; the same for all shards, so that they have versions in common."""
    max_parameters: int = Field(default=2**28, gt=0)
    """Most parameters that a trainer may set for this shard."""

    @model_validator(mode="after")
    def _shard_of_shards(self) -> Self:
        if self.shard >= self.shards:
            raise ValueError(f"shard {self.shard} of {self.shards}: shards count from 0")
        return self
