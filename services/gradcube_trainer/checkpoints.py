"""The whole model as a folder that `transformers` loads: safetensors weights, config.json, tokenizer.json."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer


def export_model(model: Any, tokenizer: Tokenizer, folder: Path) -> Path:
    """Writes `model` to `folder`, which appears whole or not at all, in place of an older one. Returns it.

    Raises OSError when it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        model.save_pretrained(draft)
        tokenizer.save(str(draft / "tokenizer.json"))
        draft.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder
