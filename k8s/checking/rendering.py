"""Kustomizations in, Kubernetes objects out, through whichever of kubectl and kustomize is there."""

import difflib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).resolve().parents[1]
INSTALL = K8S / "install.yaml"
INSTALL_HEADER = "# Generated from k8s/base by `make install.yaml` (python k8s/check.py --write). Do not edit.\n"
SHOWN_LINES = 60

Object = dict[str, Any]


class RenderError(Exception):
    """A kustomization that does not build; the message is kustomize's own, with the folder."""


def kustomizations() -> list[Path]:
    """The folders that can be applied: the base, each overlay, each example."""
    found = [
        path.parent for pattern in ("overlays", "examples") for path in K8S.glob(f"{pattern}/*/kustomization.yaml")
    ]
    return [K8S / "base", *sorted(found)]


def renderer() -> list[str] | None:
    """The command that renders a folder, None when neither program is installed."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    return ["kustomize", "build"] if shutil.which("kustomize") else None


def render(folder: Path) -> str:
    """The YAML of `folder`. Raises RenderError."""
    command = renderer()
    if command is None:
        raise RenderError("neither kubectl nor kustomize is on the PATH; install kubectl 1.32 or newer")
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RenderError(f"{folder.relative_to(K8S)} does not build: {done.stderr.strip()[-800:]}")
    return done.stdout


def objects(text: str) -> list[Object]:
    """The objects of a stream of YAML documents."""
    return [document for document in yaml.safe_load_all(text) if document]


def install_text() -> str:
    """What install.yaml must be."""
    return INSTALL_HEADER + render(K8S / "base")


def install_difference(found: str, fresh: str) -> str:
    """Empty when equal, else a unified diff, cut at SHOWN_LINES."""
    lines = list(
        difflib.unified_diff(found.splitlines(), fresh.splitlines(), "k8s/install.yaml", "fresh build", "", "", 2)
    )
    left = [f"... {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
    return "\n".join([re.sub(r"\n$", "", line) for line in lines[:SHOWN_LINES]] + left)
