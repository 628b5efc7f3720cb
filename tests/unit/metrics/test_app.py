import asyncio
from pathlib import Path
from typing import Any

import pytest

from gradcube.settings import KafkaSettings
from gradcube_metrics.app import MetricsApp
from gradcube_metrics.settings import MetricsSettings


async def test_a_stop_lets_what_is_being_written_end_before_the_producer_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = MetricsApp(MetricsSettings(), KafkaSettings(), str(tmp_path))
    order: list[str] = []
    holding = asyncio.Event()

    async def recovered(_partition: int) -> Any:
        return None

    async def stop() -> None:
        order.append("producer closed")

    async def write(lock: asyncio.Lock) -> None:
        async with lock:
            holding.set()
            await asyncio.sleep(0)
            order.append("written")

    monkeypatch.setattr(app.merging, "_recover", recovered)
    monkeypatch.setattr(app.faust, "stop", stop)
    app.merging.assign([0])
    writing = asyncio.create_task(write(app.merging._owned[0].lock))
    await holding.wait()
    await app.stop()
    await writing
    assert order == ["written", "producer closed"]
