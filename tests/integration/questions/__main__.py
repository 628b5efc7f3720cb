"""`python -m tests.integration.questions`: asks what docs/questions.md asks, and writes the answers into it."""

import sys
import tempfile
from pathlib import Path

from tests.integration.questions.page import PAGE, answered, questions
from tests.integration.questions.stand import answering, ask, open_connection

from gradcube.bus.local_broker import LocalBroker
from gradcube.settings import KafkaSettings


def main() -> int:
    """The page is written only when every question was answered."""
    text = PAGE.read_text()
    with tempfile.TemporaryDirectory() as name, LocalBroker(Path(name) / "kafka") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        with answering(Path(name), kafka) as gateway, open_connection(gateway) as connection:
            answers = {one.number: ask(connection, one) for one in questions(text)}
    PAGE.write_text(answered(text, answers))
    sys.stdout.write(f"{len(answers)} answers written into {PAGE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
