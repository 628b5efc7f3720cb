"""`python -m gradcube_metrics`: step records in, facts and findings out."""

import asyncio

from gradcube.errors import GradcubeError, exit_on
from gradcube.logs import configure_logging
from gradcube.settings import KafkaSettings, LogSettings
from gradcube_metrics.run import run
from gradcube_metrics.settings import MetricsSettings


def main() -> None:
    """Settings, build, run, close."""
    with exit_on(GradcubeError):
        configure_logging(LogSettings.load(), service="metrics")
        asyncio.run(run(MetricsSettings.load(), KafkaSettings.load()))


if __name__ == "__main__":
    main()
