"""The two programs of examples/alerting on a real broker: the topic is plain Avro, whatever language reads it."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from tests.waiting import wait_until

from gradcube.bus.client import connect
from gradcube.diagnosis.findings import Evidence, Finding, Subject, finding_id, to_record
from gradcube.events import encode
from gradcube.settings import KafkaSettings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "alerting"
COMMAND = {"id": "c-1", "job": "bert", "at": 1_790_000_000_000_000, "by": "me", "action": "set", "arguments": {}}
Command = Callable[[str, str], list[str]]


def python_command(_folder: Path) -> Command:
    return lambda bootstrap, url: [sys.executable, str(EXAMPLES / "alert.py"), bootstrap, url]


def java_command(folder: Path) -> Command:
    for program in ("java", "javac", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; the Java example needs a JDK 17 and Maven")
    pom = shutil.copy(EXAMPLES / "java" / "pom.xml", folder)
    jars = folder / "lib"
    fetch = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
    done = subprocess.run(fetch, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    schema = str(ROOT / "schemas" / "events" / "Finding.avsc")
    source = str(EXAMPLES / "java" / "Alert.java")
    return lambda bootstrap, url: ["java", "-cp", f"{jars}/*", source, schema, bootstrap, url]


@contextmanager
def webhook() -> Iterator[tuple[str, list[str]]]:
    """An address, and the texts that are posted to it."""
    texts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", texts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running(command: list[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def send_findings(kafka: KafkaSettings, job: str) -> None:
    """What is no finding, then an episode that opens, goes on and closes, with all that the schema can hold."""
    subject = Subject(rank=2, node="node-b")
    opened = Finding(
        finding_id(job, 0, "STRAGGLER", subject, 44), job, 0, "STRAGGLER", "OPENED", subject, 44, 46, None,
        1_750_000_000_000_000, 1_750_000_001_000_000, 1.6, 0.98,
        (Evidence("forward_seconds", 0.2, 0.1, "seconds"), Evidence("cpu_seconds", 0.1, None, "seconds")),
        'rank 2 is 1.6x slower – "check" node-b',
    )  # fmt: skip
    words = [
        opened,
        opened.updated("UPDATED"),
        opened.updated("CLOSED", end_step=90, verdict="rank 2 is back to normal"),
    ]
    producer = connect(KafkaProducer, kafka)
    try:
        for other in (b"no finding", None, encode("Command", COMMAND)):
            producer.send("gradcube.findings", other, job.encode()).get(30)
        for word in words:
            producer.send("gradcube.findings", encode("Finding", to_record(word)), job.encode()).get(30)
    finally:
        producer.close(timeout=5)


@pytest.mark.parametrize("prepare", [python_command, java_command])
def test_example_tells_of_an_episodes_begin_and_end(
    prepare: Callable[[Path], Command], kafka: KafkaSettings, tmp_path: Path
) -> None:
    command, job = prepare(tmp_path), f"job-{uuid4().hex[:8]}"
    send_findings(kafka, job)
    expected = [
        f'{job} STRAGGLER OPENED: rank 2 is 1.6x slower – "check" node-b',
        f"{job} STRAGGLER CLOSED: rank 2 is back to normal",
    ]
    printed = tmp_path / "printed"
    with webhook() as (url, texts), running(command(kafka.bootstrap, url), printed) as process:
        wait_until(
            lambda: process.poll() is not None or [text for text in texts if text.startswith(job)] == expected,
            90,
            f"two alerts from {command}",
        )
        assert process.poll() is None, printed.read_text()
    lines = [line for line in printed.read_text().splitlines() if line.startswith(job)]
    assert lines == expected


def test_python_example_is_short_and_uses_nothing_of_gradcube() -> None:
    text = (EXAMPLES / "alert.py").read_text()
    assert len(text.splitlines()) <= 40
    assert "import gradcube" not in text
    assert "from gradcube" not in text
