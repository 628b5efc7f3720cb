"""Who is named: on the dumps of a real hang, and on jobs that hang by seed."""

import random
from pathlib import Path

import pytest
from tests.unit.diagnosis.traces import trace_directory
from tests.unit.flight_recorder.making import Call, Job, job

from gradcube.diagnosis.findings import to_record
from gradcube.events import encode
from gradcube.flight_recorder import diagnose_dumps

SEEDS = range(12)


def named(folder: Path) -> list[int | None]:
    return [finding.subject.rank for finding in diagnose_dumps(folder)]


def stuck(seed: int) -> tuple[Job, list[int]]:
    """A job in which one rank stops calling in the second step, and the list of it."""
    draw = random.Random(seed)
    hung = job(stages=draw.choice([1, 2, 3]), replicas=draw.choice([2, 3]), tensor=draw.choice([2, 4]))
    place = len(hung.ranks[0].program) // 3 + draw.randrange(14)
    culprit = draw.randrange(len(hung.ranks))
    hung.ranks[culprit].stops_at = place
    return hung.run(), [culprit]


def test_injected_fault_of_a_real_hang_is_named_and_nobody_else() -> None:
    assert named(trace_directory() / "flight_recorder" / "gpu_error_1st") == [12, 14]


@pytest.mark.parametrize("only_pending", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_rank_that_stopped_calling_is_named_and_not_those_behind_it(
    seed: int, only_pending: bool, tmp_path: Path
) -> None:
    hung, culprits = stuck(seed)
    assert named(hung.dump(tmp_path, only_pending=only_pending)) == culprits


@pytest.mark.parametrize("seed", SEEDS)
def test_several_ranks_that_stopped_are_all_named(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    hung = job(stages=1, replicas=4, tensor=2)
    culprits = sorted(draw.sample(range(8), 2))
    for rank in culprits:
        hung.ranks[rank].stops_at = 8 + seed % 4
    hung.run()
    assert named(hung.dump(tmp_path)) == culprits


@pytest.mark.parametrize("seed", SEEDS)
def test_rank_that_left_no_dump_is_named(seed: int, tmp_path: Path) -> None:
    hung, culprits = stuck(seed)
    hung.without_dump = set(culprits)
    (finding,) = diagnose_dumps(hung.dump(tmp_path))
    assert [finding.subject.rank] == culprits
    assert "left no dump" in finding.verdict


def test_innocent_rank_without_a_dump_is_not_named_beside_the_culprit(tmp_path: Path) -> None:
    hung = job(stages=1, replicas=4)
    hung.ranks[5].stops_at = 9
    hung.without_dump = {2}
    assert named(hung.run().dump(tmp_path)) == [5]


def test_dumps_of_few_ranks_blame_nobody_in_particular(tmp_path: Path) -> None:
    hung, _ = stuck(1)
    hung.without_dump = set(range(1, len(hung.ranks)))
    (finding,) = diagnose_dumps(hung.dump(tmp_path))
    assert finding.subject.rank is None


@pytest.mark.parametrize("changed", [Call("0", "broadcast", 1), Call("0", "all_reduce", 77)])
def test_rank_that_runs_another_collective_is_named(changed: Call, tmp_path: Path) -> None:
    hung = job()
    program = hung.ranks[7].program
    first = next(place for place, call in enumerate(program) if call.group == "0")
    program[first] = changed
    (finding,) = diagnose_dumps(hung.run().dump(tmp_path))
    assert finding.subject.rank == 7
    assert "while the others run all_reduce of 1 Float" in finding.verdict


def test_rank_that_skips_a_collective_is_named(tmp_path: Path) -> None:
    hung = job(stages=1, replicas=3, tensor=2)
    del hung.ranks[4].program[8]  # its data group's
    assert named(hung.run().dump(tmp_path)) == [4]


def test_two_ranks_that_disagree_are_both_told_and_neither_blamed(tmp_path: Path) -> None:
    hung = job(stages=1, replicas=1, tensor=2)
    hung.ranks[1].program[3] = Call(hung.ranks[1].program[3].group, "broadcast")
    (finding,) = diagnose_dumps(hung.run().dump(tmp_path))
    assert finding.subject.rank is None
    assert finding.verdict.startswith("ranks 0 and 1 run")


@pytest.mark.parametrize("fault", ["other", "size", "skip", "blind"])
@pytest.mark.parametrize("seed", range(4))
def test_only_the_culprit_of_a_pipeline_is_named(seed: int, fault: str, tmp_path: Path) -> None:
    draw = random.Random(seed)
    hung = job(stages=draw.choice([2, 3]), replicas=3, tensor=4)
    culprit = hung.ranks[draw.randrange(len(hung.ranks))]
    program = culprit.program
    place = draw.choice([at for at, call in enumerate(program) if len(hung.groups[call.group]) > 3 and not call.peers])
    if fault == "other":
        program[place] = Call(program[place].group, "broadcast", program[place].size)
    elif fault == "size":
        program[place] = Call(program[place].group, program[place].name, program[place].size + 7)
    elif fault == "skip":
        del program[place]
    else:
        culprit.stops_at = len(program) // 2 + draw.randrange(9)
    hung.run()
    culprit.seen = max(0, culprit.done - 9) if fault == "blind" else None
    assert named(hung.dump(tmp_path, only_pending=draw.random() < 0.5)) == [hung.ranks.index(culprit)]


@pytest.mark.parametrize("seed", SEEDS)
def test_rank_that_no_longer_sees_its_gpu_is_named(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    hung = job(stages=1, replicas=2, tensor=2)
    blind, place = draw.randrange(4), 10
    hung.ranks[blind].stops_at = place + draw.randrange(3)
    hung.run()
    hung.ranks[blind].seen = place - 6
    hung.ranks[blind].stops_at = None
    hung.ranks[blind].entered = place + 4
    findings = diagnose_dumps(hung.dump(tmp_path))
    assert [finding.subject.rank for finding in findings] == [blind]


def test_rank_whose_gpu_has_not_begun_is_named_where_starts_are_recorded(tmp_path: Path) -> None:
    hung = job(stages=1, replicas=2, tensor=2, timed=True)
    hung.ranks[2].stops_at = 5
    hung.run()
    hung.ranks[2].entered = 7  # its calls go on, its GPU does not
    raw_of = hung.raw

    def raw(number: int, only_pending: bool) -> dict[str, object]:
        dump = raw_of(number, only_pending)
        for entry in dump["entries"]:
            if number == 2 and entry["state"] == "started":
                entry["state"] = "scheduled"
        return dump

    hung.raw = raw  # type: ignore[method-assign]
    assert named(hung.dump(tmp_path)) == [2]


@pytest.mark.parametrize("only_pending", [True, False])
def test_healthy_job_has_no_finding(only_pending: bool, tmp_path: Path) -> None:
    assert diagnose_dumps(job().run().dump(tmp_path, only_pending=only_pending)) == []


def test_dump_taken_earlier_than_the_others_is_no_hang(tmp_path: Path) -> None:
    early, late = job(stages=1), job(stages=1)
    early.ranks[0].stops_at = 6
    for rank in late.ranks:
        rank.stops_at = 12
    early.run()
    late.run()
    for rank in late.ranks:
        rank.entered += 1
    early.dump(tmp_path)
    for number in (1, 2, 3):
        (tmp_path / f"_dump_{number}").unlink()
    late.without_dump = {0}
    assert diagnose_dumps(late.dump(tmp_path)) == []


def test_timeout_that_everybody_entered_names_nobody(tmp_path: Path) -> None:
    hung = job(stages=1, replicas=2, tensor=2)
    for rank in hung.ranks:
        rank.stops_at = 8
    hung.run()
    for rank in hung.ranks:
        rank.done -= 1
    raw_of = hung.raw

    def raw(number: int, only_pending: bool) -> dict[str, object]:
        dump = raw_of(number, only_pending)
        dump["entries"][-1]["retired"] = True
        return dump

    hung.raw = raw  # type: ignore[method-assign]
    (finding,) = diagnose_dumps(hung.dump(tmp_path))
    assert finding.subject.rank is None
    assert "have all entered" in finding.verdict


@pytest.mark.parametrize("seed", SEEDS)
def test_json_dumps_say_the_same(seed: int, tmp_path: Path) -> None:
    hung, culprits = stuck(seed)
    assert named(hung.dump(tmp_path, as_json=True, only_pending=bool(seed % 2))) == culprits


def test_finding_tells_the_collective_and_who_waits_and_fits_the_schema(tmp_path: Path) -> None:
    hung = job(stages=1, replicas=2, tensor=2)
    hung.ranks[3].stops_at = 5
    (finding,) = diagnose_dumps(hung.run().dump(tmp_path))
    assert finding.kind == "HANG"
    assert finding.magnitude == 3
    assert finding.verdict.startswith(
        "rank 3 has not entered all_reduce number 1 of GROUP_0, and 3 ranks wait since 2025-06-15"
    )
    assert {piece.signal for piece in finding.evidence} >= {"waiting_ranks", "waited_seconds"}
    assert encode("Finding", to_record(finding))
