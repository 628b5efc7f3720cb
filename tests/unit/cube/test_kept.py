"""Answers that are kept: whose they are, how many, how large, how long."""

from concurrent.futures import Future

import pytest
from tests.unit.cube.test_rendering import answer

from gradcube.cube.questions import Answer
from gradcube.cube.sandbox.request import Busy
from gradcube_cube.kept import Kept, KeptResults


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def results(clock: Clock) -> KeptResults:
    return KeptResults(3, 100, 60.0, clock)


def ask(results: KeptResults, name: str, rows: int | None = 1) -> Kept:
    """A query that has ended with that many rows of 8 bytes; None: that runs."""
    results.reserve()
    future: Future[Answer] = Future()
    kept = results.add(name, "ann", future)
    if rows is not None:
        future.set_result(answer(list(range(rows))))
    return kept


def there(results: KeptResults, *names: str) -> list[str]:
    return [name for name in names if results.find(name, "ann")]


def test_only_its_owner_finds_it(results: KeptResults) -> None:
    kept = ask(results, "a")
    assert results.find("a", "ann") is kept
    assert results.find("a", "bob") is None
    assert results.find("a", None) is kept
    results.forget(kept)
    assert results.find("a", "ann") is None


def test_oldest_that_has_ended_makes_room(results: KeptResults, clock: Clock) -> None:
    ask(results, "running", None)
    for clock.now, name in ((1.0, "b"), (2.0, "c"), (3.0, "d")):
        ask(results, name)
    assert there(results, "running", "b", "c", "d") == ["running", "c", "d"]


def test_when_all_run_no_more_are_taken(results: KeptResults) -> None:
    for name in "abc":
        ask(results, name, None)
    with pytest.raises(Busy, match="3 asynchronous queries"):
        results.reserve()


def test_place_of_a_refused_query_is_free_again(results: KeptResults) -> None:
    for _ in range(9):
        results.reserve()
        results.give_back()
    assert results.counts() == {"queries": 0, "bytes": 0}


def test_bytes_of_all_are_bounded(results: KeptResults, clock: Clock) -> None:
    ask(results, "a", 6)
    clock.now = 1.0
    ask(results, "b", 6)
    assert there(results, "a", "b") == ["a", "b"]
    clock.now = 2.0
    ask(results, "c", 1)
    assert there(results, "a", "b", "c") == ["b", "c"]


def test_answer_goes_when_its_time_is_over_and_what_runs_stays(results: KeptResults, clock: Clock) -> None:
    ask(results, "a")
    ask(results, "b", None)
    clock.now = 61.0
    assert there(results, "a", "b") == ["b"]


def test_failed_query_has_an_error_and_no_answer(results: KeptResults) -> None:
    kept = ask(results, "a", None)
    kept.future.set_exception(Busy("no"))
    assert (kept.answer, type(kept.error)) == (None, Busy)
