"""The views of a closed window: of the whole job, of its stages, ranks and nodes, of shards and datasets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gradcube.windows.course import Course
from gradcube.windows.grouping import job_view, node_view, stage_view, subject_view
from gradcube.windows.panes import Pane
from gradcube.windows.samples import COLUMN
from gradcube.windows.series import SeriesTable
from gradcube.windows.side_samples import EVALUATION_COLUMN, RESOURCE_COLUMN, SERVER_COLUMN
from gradcube.windows.views import View

Tables = Mapping[str, SeriesTable]
"""The series of one job, by kind: ranks, nodes, shards, datasets."""


@dataclass(frozen=True)
class ClosedWindow:
    """A window that nothing will be added to: `views` are of the job, or of what it consists of."""

    start_micros: int
    window_seconds: int
    views: tuple[View, ...]


def job_window(window: Pane, start_micros: int, seconds: int, job: str, tables: Tables, course: Course) -> ClosedWindow:
    """The job by its steps, samples, servers and evaluations; `course` goes on by this window."""
    ranks, shards = tables["rank"].subjects, tables["shard"].subjects
    datasets = subject_view("dataset", window.evaluations, tables["dataset"].subjects, EVALUATION_COLUMN, seconds)
    steps = job_view(subject_view("rank", window.steps, ranks, COLUMN, seconds, window.sketch), job)
    steps = replace(steps, course=course.steps(window, steps, start_micros))
    evaluations = job_view(datasets, job)
    evaluations = replace(evaluations, course=course.evaluations(evaluations))
    return ClosedWindow(
        start_micros,
        seconds,
        (
            steps,
            job_view(subject_view("rank", window.resources, ranks, RESOURCE_COLUMN, seconds), job),
            job_view(subject_view("shard", window.servers, shards, SERVER_COLUMN, seconds), job),
            evaluations,
            datasets,
        ),
    )


def subject_window(window: Pane, start_micros: int, seconds: int, tables: Tables, last_attempt: int) -> ClosedWindow:
    """Ranks, stages and nodes by their step records; ranks and nodes by their samples; shards by their versions.

    A node's sample that names no attempt belongs to the newest, `last_attempt`.
    """
    nodes = [replace(node, attempt=last_attempt) if node.attempt < 0 else node for node in tables["node"].subjects]
    ranks = subject_view("rank", window.steps, tables["rank"].subjects, COLUMN, seconds, window.sketch)
    return ClosedWindow(
        start_micros,
        seconds,
        (
            ranks,
            stage_view(ranks),
            node_view(ranks),
            subject_view("rank", window.resources, tables["rank"].subjects, RESOURCE_COLUMN, seconds),
            subject_view("node", window.nodes, nodes, RESOURCE_COLUMN, seconds),
            subject_view("shard", window.servers, tables["shard"].subjects, SERVER_COLUMN, seconds),
        ),
    )
