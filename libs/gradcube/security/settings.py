"""Where the gateway and the command find users, the audit chain and certificates: GRADCUBE_CUBE_*."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from gradcube.settings import Settings


def _state_dir() -> Path:
    chosen = os.environ.get("GRADCUBE_HOME")
    return Path(chosen or (Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "gradcube"))


class SecuritySettings(Settings):
    """`SecuritySettings.load(users_file=Path("users.json"))`. Each file but the certificate has mode 600."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_CUBE_")

    users_file: Path = Field(default_factory=lambda: _state_dir() / "users.json")
    audit_file: Path = Field(default_factory=lambda: _state_dir() / "audit" / "audit.jsonl")
    audit_key_file: Path = Field(default_factory=lambda: _state_dir() / "audit.key")
    """Made at the first start. Whoever has it can forge the chain: keep a copy, and away from the log's."""
    audit_fsync_seconds: float = Field(default=1.0, ge=0)
    """At most what a power loss takes; 0 waits for the disk with every batch."""
    audit_rotate_bytes: int = Field(default=64 * 2**20, ge=4096)
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file go together: set both, or neither")
        return self
