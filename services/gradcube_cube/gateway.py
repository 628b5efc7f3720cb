"""What the routes share: the opened engine, its readers and its writer, from start to close."""

from dataclasses import dataclass
from typing import Any

from gradcube.cube.answers import Answerer, Limits
from gradcube.cube.engine import Engine
from gradcube.cube.ingest import Ingest, IngestSettings
from gradcube.cube.model import CubeModel, load_cube
from gradcube.settings import KafkaSettings
from gradcube_cube.passwords import Credentials, load_password
from gradcube_cube.settings import CubeSettings


@dataclass(frozen=True)
class Gateway:
    """`open_gateway(...)` makes it; `close()` ends ingest at a transaction's end, then the engine."""

    settings: CubeSettings
    model: CubeModel
    credentials: Credentials
    engine: Engine
    answerer: Answerer
    ingest: Ingest

    def status(self) -> dict[str, Any]:
        """The counters as JSON."""
        state = self.ingest.state
        offsets = {
            f"{topic}-{partition}": offset for (topic, partition), offset in sorted(self.engine.offsets().items())
        }
        return {
            "rows": self.engine.rows(),
            **self.engine.counters(),
            "offsets": offsets,
            "lag": state.lag,
            "ingest": "running" if state.reason is None else "stalled",
            "reason": state.reason,
        }

    def close(self) -> None:
        """Everything that was committed is on the disk afterwards."""
        self.ingest.stop()
        self.answerer.close()
        self.engine.close()


def open_gateway(settings: CubeSettings, kafka: KafkaSettings) -> Gateway:
    """Opens the database and begins to read. Raises ConfigError."""
    model = load_cube(settings.cube_file)
    credentials = Credentials(settings.user, load_password(settings.password_file))
    engine = Engine(model, settings.database, memory_limit=settings.memory_limit, threads=settings.threads)
    limits = Limits(
        settings.row_limit,
        settings.result_bytes,
        settings.timeout_seconds,
        settings.query_workers,
        settings.waiting_queries,
    )
    reading = IngestSettings(settings.database.absolute().parent, settings.reserve_bytes)
    ingest = Ingest(engine, model, kafka, reading)
    ingest.start()
    return Gateway(settings, model, credentials, engine, Answerer(engine, model, limits), ingest)
