"""The alternative: Faust as it ships, fastavro for each record, no windows.

`python -m tests.bench.pipeline_stock GROUP N DATADIR`
prints one JSON line with the seconds and CPU seconds from the first record to the N-th.
"""

import json
import os
import sys
import time

import faust

from gradcube.events import decode


def main(group: str, count: int, datadir: str) -> None:
    app = faust.App(
        group, broker=f"kafka://{os.environ['GRADCUBE_KAFKA_BOOTSTRAP']}", topic_allow_declare=False,
        topic_disable_leader=True, consumer_auto_offset_reset="earliest", web_enabled=False, datadir=datadir,
    )  # fmt: skip
    topic = app.topic("gradcube.steps", key_serializer="raw", value_serializer="raw")
    seen, begun = 0, (0.0, 0.0)

    @app.agent(topic)
    async def agent(stream):
        nonlocal seen, begun
        async for value in stream:
            if not seen:
                begun = time.monotonic(), time.process_time()
            decode(value)
            seen += 1
            if seen == count:
                spent = {"wall": time.monotonic() - begun[0], "cpu": time.process_time() - begun[1]}
                print(json.dumps(spent), flush=True)
                os._exit(0)

    faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
