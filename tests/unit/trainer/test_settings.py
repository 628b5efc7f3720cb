import pytest

from gradcube.errors import ConfigError
from gradcube_trainer.settings import TrainerSettings


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"hidden_size": 100, "heads": 3}, "HIDDEN_SIZE 100 is not a multiple of HEADS 3"),
        ({"global_batch_size": 2, "world_size": 3}, "every worker needs a sample"),
        ({"job": "no/slash"}, "GRADCUBE_TRAINER_JOB"),
        ({"model": "gpt"}, "GRADCUBE_TRAINER_MODEL"),
        ({"dropout": 1.0}, "GRADCUBE_TRAINER_DROPOUT"),
        ({"clip_grad_norm": 0.0}, "GRADCUBE_TRAINER_CLIP_GRAD_NORM"),
    ],
)
def test_wrong_settings_are_told_by_name(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainerSettings.load(**overrides)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADCUBE_TRAINER_JOB", "night")
    monkeypatch.setenv("GRADCUBE_TRAINER_RANK", "3")
    settings = TrainerSettings.load()
    assert (settings.job, settings.rank) == ("night", 3)
