"""How far a training run is, asked of the coordinator."""

import time

import httpx
from rich.progress import Progress

from gradcube.cli import processes
from gradcube.cli.processes import ServiceFailed
from gradcube.cli.stack import Stack

STALL_SECONDS = 120


def steps_done(stack: Stack, job: str) -> int:
    """Steps that every live worker has finished; the total when the run has ended."""
    answer = httpx.get(f"{stack.state.coordinator}/v1/jobs/{job}", timeout=5)
    if answer.status_code == 404:
        return 0
    view = answer.raise_for_status().json()
    if view["state"] == "finished":
        return int(view["description"]["steps"])
    return min((int(member["step"]) for member in view["members"]), default=0)


def wait_for_step(stack: Stack, job: str, step: int, progress: Progress) -> None:
    """Until the run has done `step` steps. Raises ServiceFailed when a process ends badly or nothing moves."""
    last, moved_at = -1, time.monotonic()
    while (now := steps_done(stack, job)) < step:
        _show(progress, now)
        check_alive(stack)
        if now > last:
            last, moved_at = now, time.monotonic()
        if time.monotonic() - moved_at > STALL_SECONDS:
            raise ServiceFailed(f"training stands still at step {now}; logs in {stack.home}/logs")
        time.sleep(0.2)
    _show(progress, now)


def check_alive(stack: Stack) -> None:
    """Raises ServiceFailed, with the log's end, for a process that ended while it should run."""
    for process in stack.processes:
        child = stack.children.get(process.name)
        if child is not None and child.poll() not in (None, 0):
            raise ServiceFailed(f"{process.name} ended with {child.returncode}: {processes.log_tail(process)}")


def _show(progress: Progress, done: int) -> None:
    for task in progress.tasks:
        progress.update(task.id, completed=done)
