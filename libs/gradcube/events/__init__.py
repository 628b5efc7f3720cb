"""What is said: schemas and their registry, framing, codecs, facts. Bytes in, records out, and back."""

from gradcube.events.codec import decode, encode
from gradcube.events.facts import FACT_COLUMNS, Fact, decode_fact, encode_fact, fact_id
from gradcube.events.framing import frame, unframe
from gradcube.events.registry import RegisteredSchema, Registry, load_registry, registry, schemas_dir
from gradcube.events.step_sync import (
    BUCKET_FIELDS,
    COUNT_FIELDS,
    FLOAT_FIELDS,
    MISSING,
    BadRecord,
    BucketGroup,
    StepBatch,
    StepIdentity,
)
from gradcube.events.step_sync_decode import decode_batch
from gradcube.events.step_sync_encode import StepSyncEncoder

__all__ = [
    "BUCKET_FIELDS",
    "COUNT_FIELDS",
    "FACT_COLUMNS",
    "FLOAT_FIELDS",
    "MISSING",
    "BadRecord",
    "BucketGroup",
    "Fact",
    "RegisteredSchema",
    "Registry",
    "StepBatch",
    "StepIdentity",
    "StepSyncEncoder",
    "decode",
    "decode_batch",
    "decode_fact",
    "encode",
    "encode_fact",
    "fact_id",
    "frame",
    "load_registry",
    "registry",
    "schemas_dir",
    "unframe",
]
