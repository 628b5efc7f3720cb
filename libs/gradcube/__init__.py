"""gradcube watches distributed training. A training job needs `gradcube.Monitor`; who asks in SQL, `gradcube.connect`.

`import gradcube` loads nothing heavy: neither torch nor Kafka nor pydantic, until one of them is asked for.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradcube.clients.connection import connect
    from gradcube.telemetry.monitor import Monitor

__all__ = ["Monitor", "__version__", "connect"]


def __getattr__(name: str) -> Any:
    if name == "Monitor":
        return import_module("gradcube.telemetry.monitor").Monitor
    if name == "connect":
        return import_module("gradcube.clients.connection").connect
    if name == "__version__":
        return metadata.version("gradcube")
    raise AttributeError(f"module 'gradcube' has no attribute {name!r}")
