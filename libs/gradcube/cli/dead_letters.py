"""`gradcube dlq`: what could not be read, why, and how to send it again."""

import typer

from gradcube.bus.dead_letters import DeadLetter, list_dead_letters
from gradcube.bus.dead_letters import replay as replay_letters
from gradcube.cli import output
from gradcube.cli.topics import kafka
from gradcube.errors import DataError

app = typer.Typer(help="Records that could not be read.", no_args_is_help=True)


@app.command("list")
def list_letters(
    topic: str | None = typer.Option(None, help="source topic, such as gradcube.steps"),
    json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """One line a record: where it came from and what was wrong."""
    columns = ["dead letter", "offset", "source", "partition", "source offset", "stage", "error", "bytes"]
    rows = [_row(letter) for letter in list_dead_letters(kafka(), topic)]
    if json:
        output.print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif rows:
        output.out.print(output.table(columns, rows))
    else:
        output.out.print("no dead letters")


@app.command("show")
def show(topic: str, offset: int) -> None:
    """The original bytes of one record, as hexadecimal."""
    for letter in list_dead_letters(kafka(), topic.removeprefix("dlq.")):
        if letter.dlq_offset == offset:
            output.out.file.write(f"{letter.error}\n{letter.value.hex(' ')}\n")
            return
    raise DataError(f"no dead letter of {topic} at offset {offset}; see: gradcube dlq list")


@app.command("replay")
def replay(topic: str, offsets: list[int]) -> None:
    """Send records to their source topic again, byte for byte."""
    name = topic if topic.startswith("dlq.") else f"dlq.{topic}"
    output.out.print(f"{replay_letters(kafka(), name, offsets)} sent again")


def _row(letter: DeadLetter) -> tuple[object, ...]:
    source = (letter.topic, letter.partition, letter.offset, letter.stage)
    return (letter.dlq_topic, letter.dlq_offset, *source, letter.error, len(letter.value))
