"""Where the command keeps the state of the local services: GRADCUBE_HOME, or the user's state folder."""

import os
from pathlib import Path


def home() -> Path:
    """The folder of `gradcube up`: data, logs, password and state file."""
    chosen = os.environ.get("GRADCUBE_HOME")
    if chosen:
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "gradcube"
