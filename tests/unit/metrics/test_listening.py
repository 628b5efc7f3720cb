from gradcube_metrics.listening import PATIENCE_MICROS, ListeningClock

SECOND = 1_000_000


def test_the_clock_runs_while_the_broker_answers() -> None:
    clock = ListeningClock()
    for at in range(0, 10 * SECOND, SECOND):
        clock.answered(at)
        assert clock.now(at) == at


def test_an_outage_does_not_pass() -> None:
    clock = ListeningClock()
    clock.answered(0)
    assert clock.now(60 * SECOND) == PATIENCE_MICROS
    clock.answered(60 * SECOND)
    assert clock.now(60 * SECOND) == PATIENCE_MICROS
    assert clock.now(61 * SECOND) == PATIENCE_MICROS + SECOND
