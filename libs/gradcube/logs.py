"""The one logger set-up: structlog to stderr, JSON lines for programs, colours for people."""

import logging
import sys

import structlog

from gradcube.settings import LogSettings


def configure_logging(settings: LogSettings, *, service: str) -> None:
    """Called once, in `__main__`. Every line carries `service`; libraries that use `logging` join in."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=max(logging.WARNING, logging.getLevelNamesMapping()[settings.level]), stream=sys.stderr)
