"""A family of slow-downs from the draw to the tables: reproducible, and every table says what it should."""

import pytest
from tests.bench.diagnosis.families import Family
from tests.bench.diagnosis.figures import slow_figures
from tests.bench.diagnosis.rule_sheets import rule_sheets
from tests.bench.diagnosis.sheets import markdown
from tests.bench.diagnosis.simulated import Layout, simulate
from tests.bench.diagnosis.slow import OURS, FamilyRun, drawn, run_family
from tests.bench.diagnosis.slow_sheets import slow_sheets

TINY = Family("tiny", (simulate(Layout("tiny", 2, 4, 0.003, ranks_per_node=2, steps=60), 0),), 1)


@pytest.fixture(scope="module")
def run() -> FamilyRun:
    return run_family(TINY, 0, quick=True)


def test_the_same_seed_draws_the_same_cases_and_another_does_not() -> None:
    first, again, other = (list(drawn(TINY, seed, quick=False)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_one_slow_rank_in_a_quiet_job_is_caught_and_nobody_else_is_blamed(run: FamilyRun) -> None:
    steps = [case for case in run.cases if (case.injection.level, case.injection.shape) == ("rank", "step")]
    own = [case.outcomes[OURS] for case in steps if case.injection.ratio >= 1.10]
    assert own
    assert all(outcome.caught and not outcome.wrong for outcome in own)
    assert run.healthy_claims[OURS] == 0


def test_every_table_has_a_row_for_each_rule_and_the_figures_have_their_goals(run: FamilyRun) -> None:
    text = markdown([*slow_sheets([run]), *rule_sheets([run])])
    assert text.count("Node Verdict 1.15x") == 3
    assert "| tiny |" in text
    assert [figure.goal for figure in slow_figures([run])] == [">= 99 %", ">= 95 %", "0", "<= 2", "<= 3 %"]
