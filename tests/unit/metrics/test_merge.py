from types import SimpleNamespace

from tests.unit.metrics.making import MICROS, START, step_record

from gradcube.windows import JobDescription
from gradcube_metrics.decode import reduce_steps
from gradcube_metrics.merge import Hold, JobMerge, PartitionMerge, Recovered
from gradcube_metrics.settings import MetricsSettings

SETTINGS = MetricsSettings(
    pane_seconds=1, job_window_seconds=1, subject_window_seconds=5, grace_seconds=1, idle_seconds=2
)
LATER = START + 3 * MICROS


def hear(merge: JobMerge, steps: range, now: int = START) -> SimpleNamespace:
    """Four ranks' steps in one batch; the batch, as Faust would hold it."""
    batch = SimpleNamespace(written=False)
    hold = Hold(batch)
    records = [step_record("a", rank, step, offset=4 * step + rank) for step in steps for rank in range(4)]
    for partial in reduce_steps(records, 0).partials:
        merge.hear(partial, hold, now)
    hold.release()
    return batch


def test_a_batch_is_done_only_when_all_its_windows_are_settled() -> None:
    merge = JobMerge("a", SETTINGS, Recovered(), START)
    first, second = hear(merge, range(4)), hear(merge, range(4, 9), now=LATER)
    closing = merge.close(LATER, JobDescription("a"))
    assert closing
    assert closing.facts
    assert not first.written, "closed, but nobody has said that it is written"
    merge.settle()
    assert first.written
    assert not second.written, "it reaches into a window that is open"


def test_no_window_closes_before_all_partitions_could_speak() -> None:
    merge = JobMerge("a", SETTINGS, Recovered(), START)
    hear(merge, range(20))
    assert merge.close(START + 2 * MICROS - 1, JobDescription("a")) is None
    assert merge.close(START + 2 * MICROS, JobDescription("a")) is not None


def test_facts_of_a_half_written_closing_are_not_written_again() -> None:
    undisturbed = JobMerge("a", SETTINGS, Recovered(), START)
    hear(undisturbed, range(20))
    all_facts = undisturbed.close(LATER, JobDescription("a")).facts
    written = {fact.id for fact in all_facts[:17]}
    again = JobMerge("a", SETTINGS, Recovered(fact_ids=set(written)), START)
    hear(again, range(20))
    assert again.close(LATER, JobDescription("a")).facts == all_facts[17:]


def test_a_restart_at_a_state_goes_on_as_if_nothing_had_happened() -> None:
    undisturbed = JobMerge("a", SETTINGS, Recovered(), START)
    hear(undisturbed, range(10))
    first = undisturbed.close(LATER, JobDescription("a"))
    hear(undisturbed, range(10, 30))
    wanted = undisturbed.close(LATER, JobDescription("a")).facts
    import json

    restarted = JobMerge("a", SETTINGS, Recovered(state=json.loads(first.state)), START)
    hear(restarted, range(10))
    hear(restarted, range(10, 30))
    assert restarted.close(LATER, JobDescription("a")).facts == wanted


def test_a_late_row_comes_back_and_its_batch_waits_for_the_window_that_counts_it() -> None:
    merge = JobMerge("a", SETTINGS, Recovered(), START)
    hear(merge, range(20))
    merge.close(LATER, JobDescription("a"))
    batch = SimpleNamespace(written=False)
    [partial] = reduce_steps([step_record("a", 0, 3, offset=5000)], 0).partials
    heard = merge.hear(partial, hold := Hold(batch), LATER)
    hold.release()
    assert heard.late is not None
    assert heard.late.rows.offset.tolist() == [5000]
    merge.settle()
    assert not batch.written


def test_findings_that_are_written_are_not_raised_again() -> None:
    def findings(recovered: Recovered) -> list[object]:
        merge = JobMerge("a", SETTINGS, recovered, START)
        records = [
            step_record("a", rank, step, offset=4 * step + rank, slow=2.0 if rank == 2 and step > 60 else 1.0)
            for step in range(120)
            for rank in range(4)
        ]
        [partial] = reduce_steps(records, 0).partials
        heard = merge.hear(partial, Hold(SimpleNamespace(written=False)), START)
        return heard.findings + merge.advance(LATER)

    raised = findings(Recovered())
    assert [finding.subject.rank for finding in raised if finding.state == "OPENED"] == [2]
    again = findings(Recovered(findings=list(raised)))
    assert [finding.id for finding in again if finding.state == "OPENED"] == []


def test_nothing_closes_until_the_replay_is_heard() -> None:
    partition = PartitionMerge(SETTINGS, {}, replay_until=10)
    partition.reached(8)
    assert not partition.replayed
    partition.reached(9)
    assert partition.replayed


def test_what_was_recovered_of_a_job_is_used_once_it_is_heard() -> None:
    partition = PartitionMerge(SETTINGS, {"a": Recovered(fact_ids={"x"})})
    assert partition.job("a", START) is partition.job("a", START)
    assert partition.jobs.keys() == {"a"}
