"""Waiting for a condition with a deadline: the one way in which tests wait."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout_seconds: float, what: str, every_seconds: float = 0.05) -> T:
    """The first true answer of `condition`; an AssertionError naming `what` when the deadline passes."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_seconds} s: {what} (last: {answer!r})")
        time.sleep(every_seconds)
