"""Settings of a trainer process: GRADCUBE_TRAINER_* variables, checked before anything starts."""

import sysconfig
import tempfile
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from gradcube.settings import ServiceSettings


class TrainerSettings(ServiceSettings):
    """One worker of a job: `TrainerSettings.load(job="bert", coordinator_url="http://127.0.0.1:7080")`.

    All workers of a job need the same values, but for `rank`, `summary_file`, `host` and `port`.
    """

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_TRAINER_")

    job: str = Field(default="bert", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    rank: int | None = Field(default=None, ge=0)
    """None takes the lowest free one."""
    coordinator_url: str = "http://127.0.0.1:7080"
    world_size: int = Field(default=4, ge=1)
    hardware: str = "cpu"

    steps: int = Field(default=200, ge=1)
    global_batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    clip_grad_norm: float | None = Field(default=None, gt=0)
    """Each worker scales its own gradient down to this norm before it pushes it; None clips nothing.

    The norm of the mean is known to no worker before all shards have it, so it is not that one which is held down: the
    trajectory is no longer that of one process with the whole batch.
    """
    warmup_steps: int = Field(default=20, ge=0)
    seed: int = Field(default=0, ge=0)
    sync_timeout_seconds: float = Field(default=60, gt=0)
    """How long to wait for the parameter servers, and for the other workers at the start."""

    model: Literal["bert", "roberta"] = "bert"
    hidden_size: int = Field(default=128, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    sequence_length: int = Field(default=64, ge=8, le=512)
    vocabulary_size: int = Field(default=4096, ge=256, le=65_536)

    data_dir: Path = Path(sysconfig.get_path("stdlib"))
    data_limit_bytes: int = Field(default=3_000_000, ge=1)
    """Reading stops at this much text."""
    cache_dir: Path = Path(tempfile.gettempdir()) / "gradcube-trainer-cache"
    summary_file: Path | None = None
    checkpoint_dir: Path | None = None
    """Where the whole model goes at the end."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"HIDDEN_SIZE {self.hidden_size} is not a multiple of HEADS {self.heads}")
        if self.global_batch_size < self.world_size:
            raise ValueError(
                f"GLOBAL_BATCH_SIZE {self.global_batch_size} is less than WORLD_SIZE {self.world_size}: "
                "every worker needs a sample"
            )
        return self
