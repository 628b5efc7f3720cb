"""The views of a closed window: of the whole job, of its ranks, of nodes, of shards."""

from dataclasses import replace

from gradcube.windows.panes import Pane
from gradcube.windows.progress import Progress
from gradcube.windows.rows import RESOURCE_FLOATS, SERVER_FLOATS
from gradcube.windows.samples import COLUMN
from gradcube.windows.series import Subject
from gradcube.windows.views import View, job_view, subject_view

RESOURCE_COLUMN = {name: at for at, name in enumerate(RESOURCE_FLOATS)}
SERVER_COLUMN = {name: at for at, name in enumerate(SERVER_FLOATS)}


def whole_job_view(window: Pane, job: str, ranks: list[Subject], progress: Progress, window_seconds: int) -> View:
    """The view over the job's attempts; takes the window's steps into account in `progress`."""
    view = subject_view("rank", window.steps, ranks, COLUMN, window_seconds)
    return job_view(view, job, window.sketches, progress.advance(window))


def rank_views(window: Pane, ranks: list[Subject], window_seconds: int) -> tuple[View, View]:
    """The ranks by their step records, and by their processes' resource samples."""
    return (
        subject_view("rank", window.steps, ranks, COLUMN, window_seconds),
        subject_view("rank", window.resources, ranks, RESOURCE_COLUMN, window_seconds),
    )


def node_views(window: Pane, nodes: list[Subject], window_seconds: int, attempt: int) -> tuple[View]:
    """The nodes by their samples; one that names no attempt belongs to the newest, `attempt`."""
    named = [replace(node, attempt=attempt) if node.attempt < 0 else node for node in nodes]
    return (subject_view("node", window.nodes, named, RESOURCE_COLUMN, window_seconds),)


def shard_views(window: Pane, shards: list[Subject], window_seconds: int) -> tuple[View]:
    """The shards by the versions that they applied."""
    return (subject_view("shard", window.servers, shards, SERVER_COLUMN, window_seconds),)
