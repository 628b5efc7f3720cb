import asyncio

import pytest

from gradcube.errors import TooMany
from gradcube.security.limits import Admission, RateLimiter, Ticket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_let_through_then_a_rate_and_each_key_by_itself() -> None:
    clock = Clock()
    limiter = RateLimiter(2.0, 3, clock=clock)
    for _ in range(3):
        limiter.take("ann")
    with pytest.raises(TooMany) as caught:
        limiter.take("ann")
    assert caught.value.retry_after_seconds == pytest.approx(0.5)
    limiter.take("bob")
    clock.now += 0.5
    limiter.take("ann")
    with pytest.raises(TooMany):
        limiter.take("ann")
    limiter.give_back("ann")
    limiter.take("ann")


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(1.0, 1, clock=clock)
    clock.now += 1000
    limiter.give_back("ann")
    limiter.take("ann")
    with pytest.raises(TooMany):
        limiter.take("ann")


def test_keys_are_bounded() -> None:
    limiter = RateLimiter(0.001, 1, keys=3)
    for key in range(1000):
        limiter.take(key)
    assert len(limiter._levels) == 3


def is_running(ticket: Ticket) -> bool:
    return ticket.ready.done() and not ticket.ready.cancelled()


def test_a_free_place_goes_round_those_who_wait() -> None:
    admission = Admission(running=1, waiting=100, waiting_each=50)
    flood = [admission.enter("greedy") for _ in range(40)]
    modest = [admission.enter(name) for name in ("ann", "bob")]
    order, running = [], flood[0]
    for _ in range(5):
        order.append(running.who)
        admission.leave(running)
        running = next(one for one in [*flood, *modest] if is_running(one) and one in admission._active)
    assert order == ["greedy", "greedy", "ann", "bob", "greedy"]


def test_one_may_not_fill_the_line_nor_all_of_them_more_than_it_holds() -> None:
    admission = Admission(running=1, waiting=5, waiting_each=3)
    held = [admission.enter("greedy") for _ in range(4)]
    with pytest.raises(TooMany, match="of greedy"):
        admission.enter("greedy")
    held += [admission.enter(name) for name in ("ann", "bob")]
    with pytest.raises(TooMany, match="5 statements"):
        admission.enter("carl")
    for ticket in held:
        admission.leave(ticket)
        admission.leave(ticket)
    assert admission.counts() == {"running": 0, "waiting": 0}


def test_a_place_can_be_kept_free_for_others() -> None:
    admission = Admission(running=2, waiting=10, waiting_each=10, running_each=1)
    greedy = [admission.enter("greedy") for _ in range(3)]
    assert [is_running(one) for one in greedy] == [True, False, False]
    assert is_running(admission.enter("ann"))


async def test_a_turn_is_given_back_also_by_who_no_longer_waits_for_it() -> None:
    admission = Admission(running=1, waiting=10, waiting_each=10)
    held = admission.enter("ann")

    async def wait() -> None:
        async with admission.turn("bob"):
            raise AssertionError

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    assert admission.counts() == {"running": 1, "waiting": 1}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    admission.leave(held)
    assert admission.counts() == {"running": 0, "waiting": 0}


async def test_sixty_four_at_once_are_all_served() -> None:
    admission = Admission(running=2, waiting=64, waiting_each=64)
    most = 0

    async def ask(number: int) -> int:
        nonlocal most
        async with admission.turn(f"user {number % 4}"):
            most = max(most, admission.counts()["running"])
            await asyncio.sleep(0)
            return number

    assert sorted(await asyncio.gather(*(ask(number) for number in range(64)))) == list(range(64))
    assert most == 2
