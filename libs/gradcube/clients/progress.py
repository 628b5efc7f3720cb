"""A progress bar for a person who waits: in a terminal or a notebook, and silent everywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gradcube.errors import ConfigError

Advance = Callable[[int, int | None], None]


@contextmanager
def following(what: str, show: bool | None) -> Iterator[Advance]:
    """Gives `advance(bytes received so far, bytes in all or None)`. `show` None: only where a person looks.

    Raises ConfigError when a bar is asked for and Rich is not there.
    """
    if show is False or (show is None and not _somebody_looks()):
        yield lambda _received, _total: None
        return
    try:
        from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error}; install gradcube[sql] for a progress bar") from error
    from rich.console import Console

    parts = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda received, total: progress.update(task, completed=received, total=total)


def _somebody_looks() -> bool:
    """A terminal, or a notebook's kernel where Rich can draw (it needs ipywidgets there)."""
    from importlib.util import find_spec

    if find_spec("rich") is None:
        return False
    return sys.stderr.isatty() or ("ipykernel" in sys.modules and find_spec("ipywidgets") is not None)
