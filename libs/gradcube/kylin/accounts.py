"""The accounts of a local Kylin: random passwords made at the first start, in files that their owner alone can read."""

import os
from pathlib import Path

from gradcube.errors import ConfigError
from gradcube.security.secret_files import load_or_make, read_secret

ADMIN, GATEWAY = "ADMIN", "GATEWAY"
ROLES = {ADMIN: "ROLE_ADMIN,ROLE_MODELER,ROLE_ANALYST", GATEWAY: "ROLE_ANALYST"}
"""The deployer is ADMIN; the gateway asks as GATEWAY, and sees the projects it was granted."""


def make_accounts(directory: Path) -> Path:
    """The file that the server reads, of mode 600: a line NAME PASSWORD ROLES for each account."""
    words = {name: load_or_make(password_file(directory, name), "password file") for name in ROLES}
    for name, word in words.items():
        if len(word.split()) != 1:
            raise ConfigError(f"password file {password_file(directory, name)} must hold one word, without blanks")
    lines = [f"{name} {word} {ROLES[name]}\n" for name, word in words.items()]
    path = directory / "accounts"
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(lines)
    draft.replace(path)
    return path


def password_file(directory: Path, name: str) -> Path:
    """Where an account's password is."""
    return directory / f"password-{name.lower()}"


def password(directory: Path, name: str) -> str:
    """Raises ConfigError when the file is missing or others may read it."""
    return read_secret(password_file(directory, name), "password file").decode().strip()
