from collections import defaultdict, deque
from types import SimpleNamespace

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from gradcube.errors import ConfigError
from gradcube_metrics.fast_fetch import BatchConsumer, FetchBatch, check_faust_version

HERE = TP("gradcube.steps", 0)


class Skipped:
    """A message that a stream passed over, as it does in a rebalance."""

    acked = False


def consumer(batches: list[FetchBatch]) -> BatchConsumer:
    made = BatchConsumer.__new__(BatchConsumer)
    made._delivered = defaultdict(deque, {HERE: deque(batches)})
    return made


@given(order=st.permutations(range(6)), size=st.integers(1, 4))
def test_an_offset_is_committed_only_behind_written_batches(order: list[int], size: int) -> None:
    batches = [FetchBatch(*HERE, [SimpleNamespace(offset=at * size + each) for each in range(size)]) for at in range(6)]
    reader, committed = consumer(list(batches)), 0
    for place in order:
        batches[place].written = True
        committed = reader._new_offset(HERE) or committed
        prefix = next((at for at, batch in enumerate(batches) if not batch.written), 6)
        assert committed == prefix * size


def test_an_acknowledgement_of_faust_commits_nothing() -> None:
    batch = FetchBatch(*HERE, [SimpleNamespace(offset=4)])
    reader = consumer([batch])
    reader._unacked_messages = set()
    reader.ack(Skipped())
    assert reader._new_offset(HERE) is None


def test_another_faust_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"0\.16\.0 is installed, 0\.15\.3 is needed"):
        check_faust_version("0.16.0")
