"""gradcube watches distributed training. What a training job needs is `gradcube.Monitor`.

`import gradcube` loads nothing heavy: neither torch nor Kafka nor pydantic, until a Monitor is asked for.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradcube.telemetry.monitor import Monitor

__all__ = ["Monitor", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Monitor":
        return import_module("gradcube.telemetry.monitor").Monitor
    if name == "__version__":
        return metadata.version("gradcube")
    raise AttributeError(f"module 'gradcube' has no attribute {name!r}")
