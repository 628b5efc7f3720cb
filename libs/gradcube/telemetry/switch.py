"""The switch that keeps a monitor's own failure away from the training loop."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import structlog

logger = structlog.get_logger(__name__)
P = ParamSpec("P")


class Switch:
    """On until the first failure; then off for good, with the reason logged once."""

    def __init__(self, *, on: bool = True) -> None:
        self.on = on
        self.reason: str | None = None

    def fail(self, where: str, error: BaseException) -> None:
        """Switches off. The first reason counts and is logged with its trace."""
        if self.on:
            self.on = False
            self.reason = f"{where}: {type(error).__name__}: {error}"
            logger.error("monitor_switched_off", reason=self.reason, exc_info=error)

    def guard(self, where: str, function: Callable[P, object]) -> Callable[P, None]:
        """`function`, which then does nothing once the switch is off, returns None and never raises."""

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            if self.on:
                try:
                    function(*args, **kwargs)
                except Exception as error:  # noqa: BLE001 - whatever breaks in here must not break the training
                    self.fail(where, error)

        return guarded
