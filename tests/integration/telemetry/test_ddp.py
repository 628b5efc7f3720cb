"""DistributedDataParallel over gloo with real processes: what the monitor sees, and that it changes nothing."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("ddp_worker.py")


WORLD = 3
"""A third is not exact in binary: dividing in another way than DDP does would show."""
VARIANTS = [
    {"monitored": monitored, "accumulate": accumulate, "views": views, "foreign_hook": False}
    for monitored, (accumulate, views) in itertools.product((False, True), ((1, False), (2, False), (1, True)))
] + [
    {"monitored": True, "accumulate": 8, "views": False, "foreign_hook": False},
    {"monitored": True, "accumulate": 1, "views": False, "foreign_hook": True},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """`run(accumulate=2)`: one result a rank. The processes are started once for all variants."""
    done = train(tmp_path_factory.mktemp("ddp"))

    def run(**options) -> list[dict]:
        wanted = {"monitored": True, "accumulate": 1, "views": False, "foreign_hook": False} | options
        return [results[VARIANTS.index(wanted)] for results in done]

    return run


def train(directory: Path) -> list[list[dict]]:
    """One result a variant, of every rank."""
    options = {"world": WORLD, "directory": str(directory), "variants": VARIANTS}
    workers = [
        subprocess.Popen(
            [sys.executable, WORKER, json.dumps(options | {"rank": rank})], stderr=subprocess.PIPE, text=True
        )
        for rank in range(WORLD)
    ]
    try:
        for worker in workers:
            _, errors = worker.communicate(timeout=120)
            assert worker.returncode == 0, errors
    finally:
        for worker in workers:
            worker.kill()
    return [json.loads((directory / f"{rank}.json").read_text()) for rank in range(WORLD)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate": 2},
        {"views": True},
    ],
    ids=str,
)
def test_monitor_does_not_change_a_single_bit_of_the_training(run, options):
    plain, monitored = run(monitored=False, **options), run(**options)
    assert len({result["parameters"] for result in plain + monitored}) == 1
    assert [len(result["records"]) for result in plain + monitored] == [0] * len(plain) + [4] * len(monitored)


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"views": True}], ids=str)
def test_gradient_norm_is_the_ranks_own_before_the_reduction(run, options):
    results = run(**options)
    for result in results:
        assert [record["grad_norm"] for record in result["records"]] == pytest.approx(result["norms"], rel=1e-4)
    one, other, _ = ([record["grad_norm"] for record in result["records"]] for result in results)
    assert all(abs(a - b) > 1e-3 * a for a, b in zip(one, other, strict=True))


def test_waiting_for_the_reduction_is_measured(run):
    for record in itertools.chain.from_iterable(result["records"] for result in run()):
        assert record["sync_wait_seconds"] > 0
        phases = [record[f"{name}_seconds"] for name in ("data", "forward", "backward", "sync_wait", "optimizer")]
        assert all(seconds > 0 for seconds in phases)
        assert sum(phases) <= record["step_seconds"] * 1.001


def test_each_bucket_is_ready_then_sent_then_received(run):
    for record in itertools.chain.from_iterable(
        result["records"][1:] for result in run()
    ):  # DDP's first step has one bucket
        ready, sent, received = (record[f"bucket_{name}_seconds"] for name in ("ready", "sent", "received"))
        assert len(ready) == len(record["bucket_bytes"]) > 1
        assert all(r <= s <= t for r, s, t in zip(ready, sent, received, strict=True))
        assert ready == sorted(ready)  # DDP's buckets are those of backward's order
        assert sum(record["bucket_bytes"]) == 4 * (3 * (560 * 560 + 560) + 561)


def test_backward_of_accumulated_batches_is_counted(run):
    one = [record["backward_seconds"] for result in run() for record in result["records"][1:]]
    eight = [record["backward_seconds"] for result in run(accumulate=8) for record in result["records"][1:]]
    assert all(seconds > 0 for seconds in one + eight)
    assert sorted(eight)[len(eight) // 2] > 1.2 * sorted(one)[len(one) // 2]


def test_hook_that_the_training_has_already_stays(run):
    for result in run(foreign_hook=True):
        assert [math.isnan(record["grad_norm"]) for record in result["records"]] == [True] * 4
        assert all(record["sync_wait_seconds"] > 0 for record in result["records"])
        assert all(record["bucket_ready_seconds"] for record in result["records"])
