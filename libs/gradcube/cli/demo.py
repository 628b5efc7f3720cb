"""`gradcube demo`: a language model trains, one worker is slowed from outside, gradcube names it, SQL answers.

The story of one run; the parts are the same as those of `gradcube up`, in a folder that goes away at the end.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from gradcube.bus.local_broker import fetch_broker
from gradcube.cli import output, processes, state
from gradcube.cli.demo_kylin import DemoKylin
from gradcube.cli.findings import FindingWatch
from gradcube.cli.paths import home
from gradcube.cli.questions import ask_all
from gradcube.cli.reconcile import reconcile, settle
from gradcube.cli.run import LocalRun, RunSettings
from gradcube.cli.scene import JOB, DemoSettings, Scene, names_a_rank, progress_bar
from gradcube.cli.stack import Stack
from gradcube.cli.state import LocalState
from gradcube.errors import CheckFailed, ConfigError

WINDOW_SECONDS = "10"


def run_demo(settings: DemoSettings) -> dict[str, Any]:
    """Runs it all, prints the story, and returns the report. Raises CheckFailed when a promise did not hold."""
    settings.check()
    started = time.monotonic()
    with output.err.status("fetching the broker") as status:
        fetch_broker(status.update)
    folder = home() if settings.keep else Path(tempfile.mkdtemp(prefix="gradcube-demo-"))
    if settings.keep and state.running():
        raise ConfigError("--keep: local services are already running; end them with: gradcube down")
    stack = Stack(
        folder,
        with_parent=not settings.keep,
        metrics={"subject_window_seconds": WINDOW_SECONDS, "job_window_seconds": WINDOW_SECONDS},
    )
    run = kylin = None
    kept = False
    try:
        if settings.kylin:
            kylin = DemoKylin(folder / "kylin")
            stack.ask_elsewhere(kylin.gateway_settings, kylin.deploy)
        services = _start(stack)
        run = LocalRun(services, RunSettings(JOB, settings.workers, settings.steps, settings.seed, settings.data))
        report = _story(services, run, settings)
        report["seconds"] = round(time.monotonic() - started, 1)
        kept = settings.keep
        if kept:
            _how_to_look_around(services)
    finally:
        with output.err.status("stopping"):
            if run is not None:
                processes.stop(run.processes)
            if not kept:
                stack.stop()
                if kylin is not None:
                    kylin.stop()
                stack.remove()
    return report


def _start(stack: Stack) -> LocalState:
    with output.err.status("starting") as status:
        stack.start(lambda name: status.update(f"starting {name}"))
    return stack.state


def _story(services: LocalState, run: LocalRun, settings: DemoSettings) -> dict[str, Any]:
    run.start()
    with progress_bar() as progress, FindingWatch(services.kafka(), JOB) as watch:
        progress.add_task("training", total=settings.steps)
        scene = Scene(services, run, settings, watch, progress)
        if settings.slow:
            scene.slow_and_name()
        scene.wait_for_step(settings.steps)
        run.wait()
        scene.show("closing the last windows")
        counts = settle(services, run, JOB)
        findings = watch.finish()
    output.out.print(
        f"{counts.steps_trained} steps trained by {settings.workers} workers; "
        f"loss {counts.first_loss:.3f} to {counts.final_loss:.3f}"
    )
    if not settings.slow and findings:
        raise CheckFailed(f"nobody was slowed, yet a finding was raised: {findings[0]['verdict']}")
    answers = ask_all(services.kylin_url(), JOB)
    checks = reconcile(counts, services.kylin_url(), JOB)
    return _report(settings, findings, checks, answers)


def _report(
    settings: DemoSettings,
    findings: list[dict[str, Any]],
    checks: dict[str, int],
    answers: list[dict[str, Any]],
) -> dict[str, Any]:
    opened = next(filter(names_a_rank, findings), None)
    latest = next((each for each in reversed(findings) if opened and each["id"] == opened["id"]), None)
    return {
        "verdict": opened["verdict"] if opened else None,
        "rank": opened["rank"] if opened else None,
        "onset_step": opened["onset_step"] if opened else None,
        "detected_step": opened["detected_step"] if opened else None,
        "end_step": latest["end_step"] if latest else None,
        "magnitude": latest["magnitude"] if latest else None,
        "slowed_rank": settings.culprit() if settings.slow else None,
        "counts": checks,
        "sql": answers,
    }


def _how_to_look_around(services: LocalState) -> None:
    output.out.print("left running; look around with:")
    for line in (
        "gradcube status",
        'gradcube sql "select METRIC, avg(METRIC_VALUE) from FACTS group by METRIC"',
        "gradcube tail gradcube.findings",
        "gradcube doctor",
        "gradcube down",
    ):
        output.out.print(f"  {line}")
    output.out.print(f"logs in {services.home}/logs, password of user {state.USER} in {services.password_file}")
