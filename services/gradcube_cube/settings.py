"""What the gateway is told: GRADCUBE_CUBE_*."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gradcube.settings import ServiceSettings


def _state_dir() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "gradcube"


class CubeSettings(ServiceSettings):
    """`CubeSettings.load(port=0, database=Path("facts.duckdb"))`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_CUBE_")

    port: int = Field(default=7070, ge=0, le=65535)
    database: Path = Field(default_factory=lambda: _state_dir() / "facts.duckdb")
    password_file: Path = Field(default_factory=lambda: _state_dir() / "cube-password")
    """Made with a random password (mode 600) at the first start."""
    user: str = Field(default="ADMIN", min_length=1, pattern=r"^[^:]*$")
    project: str = Field(default="gradcube", pattern=r"^[A-Za-z0-9_]+$")
    cube_file: Path | None = None
    """Default: schemas/cubes/facts.yaml."""
    row_limit: int = Field(default=50_000, ge=1)
    result_bytes: int = Field(default=64 * 2**20, ge=1024)
    timeout_seconds: float = Field(default=30.0, gt=0)
    memory_limit: str = Field(default="1GB", pattern=r"^[0-9]+(MB|GB)$")
    threads: int = Field(default=2, ge=1)
    query_workers: int = Field(default=2, ge=1)
    waiting_queries: int = Field(default=32, ge=1)
    reserve_bytes: int = Field(default=64 * 2**20, ge=0)
    """Ingest stops while less is free on the database's disk."""
