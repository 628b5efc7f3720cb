"""Statements asked as the gateway asks them, in few words, by somebody from whom nothing is hidden."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

from gradcube.cube.asking import Asking
from gradcube.cube.questions import Answer, Limits, Question, SeesAll


class Answerer:
    def __init__(self, asking: Asking, limits: Limits) -> None:
        self._asking, self._limits = asking, limits

    def submit(
        self, sql: str, *, limit: int, offset: int = 0, parameters: Sequence[Mapping[str, Any]] = ()
    ) -> "Future[Answer]":
        question = Question(sql, limit, offset, parameters, self._limits)
        return self._asking.submit(question, SeesAll(), uuid4().hex)

    def within(self, limits: Limits) -> "Answerer":
        """The same with other limits."""
        return Answerer(self._asking, limits)
