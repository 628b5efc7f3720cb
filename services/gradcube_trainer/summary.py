"""What a worker says when it ends: one JSON file, which the demo's reconciliation reads."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def finite(loss: float | None) -> float | None:
    """`loss`, or None where it is no number: JSON knows no NaN."""
    return loss if loss is not None and math.isfinite(loss) else None


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Writes `summary` as JSON; the file appears whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(dict(summary), indent=2, allow_nan=False) + "\n")
    os.replace(draft, path)
