"""Which series a run has and what the runs are: 1 500 series of real metrics, and runs over three months, by seed."""

from dataclasses import dataclass

import numpy as np

from gradcube.windows.metrics import METRICS

SERIES = 1500
RANKS, NODES, STAGES = 64, 8, 4
RANK_METRICS = 20
ASKED_OF_RANKS = ("compute_seconds", "sync_wait_seconds", "step_seconds", "straggle_ratio")
"""What docs/questions.md asks of ranks; the other rank metrics are the first ones by name."""
MACHINES, DAYS = 200, 90
MODELS = (
    ("bert-base", 110_000_000), ("gpt-125m", 125_000_000), ("gpt-1b", 1_100_000_000), ("llama-8b", 8_030_000_000),
    ("llama-70b", 70_600_000_000), ("llama-405b", 405_900_000_000),
)  # fmt: skip
HARDWARE = ("64 x NVIDIA H100 80GB HBM3", "64 x NVIDIA A100 SXM4 80GB", "64 x NVIDIA H200 141GB HBM3e")
DATASETS = ("web", "wiki", "code", "books")
ASKED_JOB = "gpt-1b-code"
"""The one job that docs/questions.md asks for by name."""


@dataclass(frozen=True)
class OneSeries:
    """`subject` is the number of the rank, stage or node."""

    kind: str
    subject: int
    stage: int
    family: str
    metric: str


@dataclass(frozen=True)
class Job:
    """One run of `windows` minutes from `start_millis` on."""

    name: str
    model: str
    parameters: int
    hardware: str
    dataset: str
    machines: tuple[str, ...]
    start_millis: int


def series() -> list[OneSeries]:
    """All metrics of the job, twenty of each of 64 ranks, and of stages and nodes as many as make 1 500."""
    found = [OneSeries("job", 0, 0, one.family, one.name) for one in METRICS if "job" in one.kinds]
    named = sorted((one for one in METRICS if "rank" in one.kinds), key=lambda one: one.name not in ASKED_OF_RANKS)
    for rank in range(RANKS):
        stage = rank * STAGES // RANKS
        found += [OneSeries("rank", rank, stage, one.family, one.name) for one in named[:RANK_METRICS]]
    for kind, count in (("stage", STAGES), ("node", NODES)):
        of_kind = [one for one in METRICS if kind in one.kinds]
        found += [OneSeries(kind, at, 0, one.family, one.name) for at in range(count) for one in of_kind]
    return found[:SERIES]


def jobs(count: int, first_day_millis: int, seed: int = 0) -> list[Job]:
    """In the order in which they start."""
    random = np.random.default_rng(seed)
    starts = np.sort(random.integers(0, DAYS * 1440, count)) * 60_000 + first_day_millis
    made = []
    for number, start in enumerate(starts.tolist()):
        model, parameters = MODELS[random.integers(len(MODELS))]
        machines = random.choice(MACHINES, NODES, replace=False)
        made.append(
            Job(
                ASKED_JOB if number == count // 2 else f"run-{number:04}", model, parameters,
                HARDWARE[random.integers(len(HARDWARE))], DATASETS[random.integers(len(DATASETS))],
                tuple(f"machine-{one:03}" for one in machines), start,
            )
        )  # fmt: skip
    return made
