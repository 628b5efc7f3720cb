"""The embedded engine's store: immutable Parquet segments, and a manifest that says which of them count.

Decoded rows of a cube come in with their Kafka offsets, in one transaction; snapshots go out, as SQL text over files
that nobody changes. See docs/decisions/0009-segments-and-a-manifest.md.
"""

from gradcube.cube.store.compaction import Compactor
from gradcube.cube.store.snapshot import Snapshot
from gradcube.cube.store.store import COUNTERS, Offsets, Store, StoreSettings, Written
from gradcube.cube.store.transfer import Transferred, export_cube, import_cube

__all__ = [
    "COUNTERS",
    "Compactor",
    "Offsets",
    "Snapshot",
    "Store",
    "StoreSettings",
    "Transferred",
    "Written",
    "export_cube",
    "import_cube",
]
