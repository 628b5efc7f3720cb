"""Prints what gradcube finds, and posts it to a URL if one is given: python alert.py BOOTSTRAP [URL]."""

import io
import json
import sys
import urllib.request
from pathlib import Path

import fastavro
from kafka import KafkaConsumer

SCHEMA_FILE = Path(__file__).resolve().parents[2] / "schemas" / "events" / "Finding.avsc"
HEADER = b"\x00" + (6).to_bytes(4, "big")  # 6 is the id of this file in schemas/events/index.yaml
schema = fastavro.parse_schema(json.loads(SCHEMA_FILE.read_text()))


def forward(url: str, text: str) -> None:
    """Posts `text` as a chat webhook takes it; raises OSError when it was not taken."""
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()


consumer = KafkaConsumer(
    "gradcube.findings", bootstrap_servers=sys.argv[1], group_id="alerting-python", auto_offset_reset="earliest"
)
for record in consumer:
    if (record.value or b"")[:5] != HEADER:
        print(f"offset {record.offset} is of another schema: take it from a newer release", file=sys.stderr)
        continue
    finding = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema)
    if finding["state"] != "UPDATED":  # an episode begins, and ends, once
        text = f"{finding['job']} {finding['kind']} {finding['state']}: {finding['verdict']}"
        print(text, flush=True)
        if len(sys.argv) > 2:
            forward(sys.argv[2], text)
