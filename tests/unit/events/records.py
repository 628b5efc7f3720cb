"""What the tests of this room share: records of every schema drawn by hypothesis, and StepSync's parts."""

import io
import json
from typing import Any

import fastavro
import numpy as np
from hypothesis import strategies as st

from gradcube.events import BUCKET_FIELDS, COUNT_FIELDS, FLOAT_FIELDS, StepIdentity, StepSyncEncoder, registry
from gradcube.events.registry import schemas_dir

LONGS = st.integers(-(2**63), 2**63 - 1)
INTS = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLOATS_32 = st.floats(width=32)
PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": INTS,
    "long": LONGS,
    "float": FLOATS_32,
    "double": st.floats(),
    "string": TEXT,
    "bytes": st.binary(max_size=40),
}
NAMES = sorted({schema.name for schema in registry().all()})


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Any value of a schema parsed by fastavro."""
    if isinstance(schema, list):
        return st.one_of([values(branch) for branch in schema])
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "record":
        return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in schema["fields"]})
    if kind == "enum":
        return st.sampled_from(schema["symbols"])
    if kind == "array":
        return st.lists(values(schema["items"]), max_size=4)
    if kind == "map":
        return st.dictionaries(TEXT, values(schema["values"]), max_size=4)
    return PRIMITIVES[kind]


def fastavro_body(name: str, record: dict[str, Any]) -> bytes:
    """What fastavro writes for the schema file itself, logical types and all."""
    version = registry().latest(name).version
    file = f"{name}.avsc" if version == 1 else f"{name}.{version}.avsc"
    source = json.loads((schemas_dir() / "events" / file).read_text())
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(source, named_schemas={}), record)
    return out.getvalue()


@st.composite
def buckets(draw: st.DrawFn, max_buckets: int = 300) -> np.ndarray:
    sample = draw(st.lists(FLOATS_32, min_size=1, max_size=12))
    num_buckets = draw(st.one_of(st.integers(0, 4), st.sampled_from([63, 64, 65]), st.integers(0, max_buckets)))
    return np.resize(np.array(sample, np.float32), (len(BUCKET_FIELDS), num_buckets))


IDENTITIES = st.builds(StepIdentity, TEXT, INTS, INTS, TEXT, INTS, INTS)
STEPS = st.fixed_dictionaries(
    {
        "step": LONGS,
        "seq": LONGS,
        "dropped": LONGS,
        "ended_at_micros": LONGS,
        "counts": st.tuples(LONGS, *[st.none() | LONGS for _ in COUNT_FIELDS[1:]]),
        "floats": st.tuples(*[st.floats() for _ in FLOAT_FIELDS]),
        "buckets": buckets(),
    }
)


def step(number: int = 0, num_buckets: int = 4) -> dict[str, Any]:
    """A plain step, for `StepSyncEncoder.encode(**step())`."""
    return {
        "step": number,
        "seq": number,
        "dropped": 0,
        "ended_at_micros": 1_790_000_000_000_000 + number,
        "counts": (0, None, None, 20, 30, 4096, 8, 32),
        "floats": tuple(index / 4 for index in range(len(FLOAT_FIELDS))),
        "buckets": np.arange(8 * num_buckets, dtype=np.float32).reshape(8, num_buckets) + number,
    }


def encoded_step(number: int = 0, num_buckets: int = 4, identity: StepIdentity | None = None) -> bytes:
    return StepSyncEncoder(identity or StepIdentity("bert", 0, 2, "node-a")).encode(**step(number, num_buckets))


def as_record(identity: StepIdentity, parts: dict[str, Any]) -> dict[str, Any]:
    """The same step as the plain record that fastavro takes."""
    record = {name: getattr(identity, name) for name in ("job", "attempt", "rank", "node", "stage", "replica")}
    record |= {name: parts[name] for name in ("step", "seq", "dropped")} | {"ended_at": parts["ended_at_micros"]}
    record |= dict(zip(COUNT_FIELDS, parts["counts"], strict=True))
    record |= dict(zip(FLOAT_FIELDS, parts["floats"], strict=True))
    return record | dict(zip(BUCKET_FIELDS, parts["buckets"].tolist(), strict=True))
