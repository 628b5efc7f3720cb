import numpy as np
from tests.unit.diagnosis.making import frame, states, watch

from gradcube.diagnosis.loss.plateau import PlateauDetector, PlateauSettings
from gradcube.windows.columns import FloatArray

STEPS = 6_000
SHORT = PlateauSettings(min_steps=1000)


def falling(seed: int, until: int = STEPS) -> FloatArray:
    """Falls as a power of the steps, as losses do, until it stands still."""
    at = np.minimum(np.arange(STEPS), until)
    return 3 * (1 + at / 50) ** -0.1 * np.exp(np.random.default_rng(seed).normal(0, 0.02, STEPS))


def watch_loss(loss: FloatArray, **columns: FloatArray) -> list:  # type: ignore[type-arg]
    own = ({name: values[step] for name, values in columns.items()} for step in range(STEPS))
    return watch(PlateauDetector(SHORT), (frame(step, 1, loss=loss[step], **next(own)) for step in range(STEPS)))


def test_a_loss_that_stands_still_is_told_once_and_without_much_confidence() -> None:
    [finding] = watch_loss(falling(0, until=2000))
    assert (finding.kind, finding.state) == ("PLATEAU", "OPENED")
    assert 2000 < finding.detected_step < 4500
    assert finding.confidence <= 0.5


def test_a_loss_that_falls_slowly_is_none() -> None:
    assert watch_loss(falling(1)) == []


def test_the_end_of_a_learning_rate_schedule_is_none() -> None:
    rate = np.interp(np.arange(STEPS), [0, 1500, 2000], [1.0, 1.0, 0.01])
    assert watch_loss(falling(2, until=2000), learning_rate=rate) == []


def test_a_loss_that_falls_again_closes_it() -> None:
    loss = falling(3, until=1500)
    loss[4000:] *= np.linspace(1, 0.8, STEPS - 4000)
    assert states(watch_loss(loss)) == ["OPENED", "CLOSED"]
