"""Dumps of a hung job -> a finding for each root cause: the rank, the collective and its number, who waits."""

from pathlib import Path

from gradcube.diagnosis.findings import Finding
from gradcube.flight_recorder.causes import find_causes
from gradcube.flight_recorder.dumps import read_dumps
from gradcube.flight_recorder.verdicts import to_finding


def diagnose_dumps(directory: Path) -> list[Finding]:
    """Findings of kind HANG, one per root cause, by rank; none when nobody waits for anybody.

    Named are ranks that have not entered what others wait in, that run something else than the others, that no longer
    see their own GPU, or that left no dump; not those that are late only because they wait themselves, in whichever
    group. The job is the folder's name; a dump knows no steps, so these are 0. The magnitude is how many ranks wait.
    Raises TraceError, which names the file that is no dump.
    """
    dumps = read_dumps(directory)
    latest = max((one.seen_ns or 0 for dump in dumps.values() for one in dump.operations), default=0)
    return [to_finding(cause, directory.resolve().name, latest) for cause in find_causes(dumps)]
