"""`gradcube sql` as a person meets it: in a terminal of its own, against a real gateway."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from tests.integration.cube.gateway_process import GatewayProcess
from tests.unit.clients.tiny_gateway import TinyGateway, kylin, tables
from tests.waiting import wait_until

COMMAND = [sys.executable, "-c", "from gradcube.cli.main import main; main()", "sql"]


class Terminal:
    """A shell in a pseudo terminal of 100 columns; `seen` is the text without the terminal's own codes."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 100))
        environment = os.environ | {
            "GRADCUBE_HOME": str(directory), "TERM": "xterm", "PAGER": "cat", "PROMPT_TOOLKIT_NO_CPR": "1",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [*COMMAND, *options], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
            preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.seen = ""

    def send(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def ask(self, keys: str, *words: str) -> None:
        """Types a line, waits for the words in turn and for the next prompt: before it, keys reach nobody."""
        self.send(f"{keys}\r")
        for each in (*words, "gradcube>"):
            self.wait_for(each)

    def wait_for(self, words: str, timeout_seconds: float = 60) -> None:
        """Words that come after what was waited for before."""
        wait_until(lambda: words in self._read(), timeout_seconds, f"{words!r} in {self.seen[-800:]!r}")
        self.seen = self.seen.partition(words)[2]

    def _read(self) -> str:
        try:
            new = os.read(self._ours, 65536).decode(errors="replace")
        except (BlockingIOError, OSError):
            new = ""
        self.seen += re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[()=>78].?)", "", new)
        return self.seen

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)


def _take_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs in a shell's background inherits that it is ignored
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(served: GatewayProcess, tmp_path: Path) -> Iterator[Terminal]:
    url = f"http://ADMIN@127.0.0.1:{served.port}/gradcube"
    terminal = Terminal(tmp_path, "--url", url, "--password-file", str(served.directory / "password"))
    terminal.wait_for("gradcube>")
    yield terminal
    terminal.close()


def test_person_asks_looks_around_and_leaves(terminal: Terminal, tmp_path: Path) -> None:
    terminal.ask("\\d", "FACTS")
    terminal.ask("\\timing", "timing is on")
    terminal.ask("select METRIC, count(*) as N\rfrom FACTS group by METRIC;", "loss", "101", "1 rows", " ms")
    terminal.ask("select count(*) from NOWHERE;", "^", "Object 'NOWHERE' not found")
    terminal.send("\\q\r")
    assert terminal.process.wait(30) == 0
    history = tmp_path / "sql-history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "+from FACTS group by METRIC;" in history.read_text()


def test_tab_completes_a_value_from_the_gateway(terminal: Terminal) -> None:
    terminal.send("select count(*) as N_ROWS from FACTS where METRIC = 'lo")
    terminal.wait_for("'lo")
    terminal.send("\t")
    terminal.wait_for("ss'")
    terminal.ask(";", "N_ROWS", "101")
    terminal.send("\x04")
    assert terminal.process.wait(30) == 0


def test_ctrl_c_ends_the_question_and_term_the_shell(tmp_path: Path) -> None:
    arrived, released = Event(), Event()

    def slow(_: object) -> tuple[int, str, bytes]:
        arrived.set()
        released.wait(60)
        return kylin({"N": "BIGINT"}, [["1"]])

    with closing(TinyGateway()) as gateway:
        gateway.answers |= {"/kylin/api/query": slow, "/kylin/api/tables_and_columns": lambda _: tables()}
        with closing(Terminal(tmp_path, "--url", gateway.url)) as terminal:
            terminal.wait_for("gradcube>")
            terminal.send("select 1;\r")
            assert arrived.wait(30)
            terminal.send("\x03")
            terminal.wait_for("the shell goes on")
            terminal.wait_for("gradcube>")
            released.set()
            terminal.ask("select 2 as AGAIN;", "1 rows")
            terminal.process.send_signal(signal.SIGTERM)
            assert terminal.process.wait(30) == 128 + signal.SIGTERM


def test_pipe_and_file_are_answered_without_a_terminal(served: GatewayProcess, tmp_path: Path) -> None:
    url = f"http://ADMIN@127.0.0.1:{served.port}/gradcube"
    command = [*COMMAND, "--url", url, "--password-file", str(served.directory / "password"), "--csv"]
    questions = tmp_path / "questions.sql"
    questions.write_text(
        "select count(*) as N from FACTS;\nselect nope from FACTS;\nselect max(SAMPLES) as M from FACTS;"
    )
    done = subprocess.run([*command, "-f", str(questions)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()) == (1, ["N", "101", "M", "5"])
    assert "Column 'NOPE' not found" in done.stderr
    piped = subprocess.run(command, input="select 1 as SINGLE", capture_output=True, text=True, timeout=60, check=False)
    assert (piped.returncode, piped.stdout.split()) == (0, ["SINGLE", "1"])
    alone = subprocess.run(
        [*command, "select nope from FACTS"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (alone.returncode, "QueryError" in alone.stderr) == (65, True)
