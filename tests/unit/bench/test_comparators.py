"""The published rules that gradcube is compared with do what they say."""

import numpy as np
import pytest
from tests.bench.diagnosis.comparators import LOSS_RULES, SLOW_RULES
from tests.bench.diagnosis.injections import Injection, inject
from tests.bench.diagnosis.loss import PEAK, healthy_grad_norm, spike
from tests.bench.diagnosis.simulated import Layout, simulate

QUIET = Layout("quiet", 1, 8, 0.002, steps=90)
SEES_FROM = {
    "NVRx relative < 0.75": 1.40,
    "NVRx individual < 0.75": 1.40,
    "Greyhound BOCD+V": 1.15,
    "1.04x, three in a row": 1.06,
    "3 sigma": 1.05,
    "Node Verdict 1.15x": 1.20,
}
MISSES = {
    "NVRx relative < 0.75": 1.30,
    "NVRx individual < 0.75": 1.30,
    "Greyhound BOCD+V": 1.06,
    "1.04x, three in a row": 1.02,
    "3 sigma": 1.0,
    "Node Verdict 1.15x": 1.10,
}


@pytest.mark.parametrize("name", SLOW_RULES)
def test_a_rule_flags_the_slow_rank_beyond_its_threshold_and_not_below(name: str) -> None:
    run = simulate(QUIET, 5).between(10, 90)
    for ratio, seen in ((SEES_FROM[name], True), (MISSES[name], False)):
        flags = SLOW_RULES[name](inject(run, Injection("rank", (2,), "step", ratio, 40, 80)))
        assert flags[40:, 2].any() == seen, ratio
        assert not flags[:40, 2].any() or name == "3 sigma"


@pytest.mark.parametrize("name", SLOW_RULES)
def test_a_rule_does_not_see_what_is_to_come(name: str) -> None:
    run = inject(simulate(QUIET, 6), Injection("rank", (2,), "step", 1.5, 40, 90))
    whole, cut = SLOW_RULES[name](run), SLOW_RULES[name](run.between(0, 60))
    np.testing.assert_array_equal(whole[:60], cut)


def test_loss_rules_flag_what_they_are_made_for() -> None:
    rng = np.random.default_rng(1)
    loss, norm = 3 + rng.normal(0, 0.03, 400), healthy_grad_norm(400, rng)
    loss, norm = spike(loss, norm, 300, 1.0)
    first = {name: np.flatnonzero(rule(loss, norm)[300:])[:1].tolist() for name, rule in LOSS_RULES.items()}
    assert first["OLMo-core 6 sigma"] == [0]
    assert first["ZClip z > 2.5"] == [0]
    assert first["llm-foundry 2x mean"] == [PEAK]
    assert first["Megatron 10x max"] == []
    assert LOSS_RULES["Megatron 10x max"](loss * np.where(np.arange(400) == 350, 30, 1), None)[350]
