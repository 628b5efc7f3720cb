"""`python -m gradcube_trainer`: one worker of a training job, set up by GRADCUBE_TRAINER_* variables."""

from gradcube.errors import GradcubeError, exit_on
from gradcube.logs import configure_logging
from gradcube.settings import KafkaSettings, LogSettings
from gradcube_trainer.settings import TrainerSettings


def main() -> None:
    """Reads the settings, trains, and ends with the error's exit code when it cannot."""
    with exit_on(GradcubeError):
        settings = TrainerSettings.load()
        configure_logging(LogSettings.load(), service="trainer")
        kafka = KafkaSettings.load()
        # Torch and transformers take seconds to import: wrong settings are told first.
        from gradcube_trainer.train import run

        run(settings, kafka)


if __name__ == "__main__":
    main()
