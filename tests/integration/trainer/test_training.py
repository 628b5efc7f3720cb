import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.integration.trainer.cluster import Cluster
from tests.integration.trainer.reference import Reference, mean_losses, train_alone

from gradcube_trainer.settings import TrainerSettings

STEPS = 15


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> TrainerSettings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return TrainerSettings(
        job="tiny",
        coordinator_url=f"http://127.0.0.1:{port}",
        world_size=2,
        steps=STEPS,
        warmup_steps=3,
        learning_rate=5e-3,
        global_batch_size=8,
        hidden_size=32,
        layers=1,
        heads=2,
        dropout=0.0,
        sequence_length=16,
        vocabulary_size=512,
        data_limit_bytes=60_000,
        sync_timeout_seconds=40,
        cache_dir=tmp_path_factory.mktemp("cache"),
    )


@pytest.fixture(scope="module")
def reference(base: TrainerSettings) -> Reference:
    return train_alone(base)


@pytest.fixture
def cluster(base: TrainerSettings, tmp_path: Path) -> Iterator[Cluster]:
    settings = base.model_copy(update={"checkpoint_dir": tmp_path / "models"})
    cluster = Cluster(tmp_path, settings, int(settings.coordinator_url.rsplit(":", 1)[1]))
    yield cluster
    cluster.close()


def assert_parameters_equal(cluster: Cluster, reference: Reference) -> None:
    snapshot = cluster.shard.snapshot()
    assert snapshot is not None
    assert snapshot.version == STEPS
    assert np.allclose(snapshot.values, reference.parameters, rtol=1e-3, atol=2e-5)


def test_two_workers_follow_the_trajectory_of_one_process_with_the_whole_batch(
    cluster: Cluster, reference: Reference
) -> None:
    workers = [cluster.worker(f"w{number}") for number in range(2)]
    assert [worker.join() for worker in workers] == [0, 0], workers[0].log + workers[1].log
    losses = mean_losses([worker.trace for worker in workers], STEPS)
    assert losses == pytest.approx(reference.losses, rel=1e-4)
    assert losses[-1] < losses[0] - 0.3
    assert_parameters_equal(cluster, reference)
    summaries = [worker.summary for worker in workers]
    assert {summary["rank"] for summary in summaries} == {0, 1}
    for summary in summaries:
        assert (summary["finished"], summary["steps"], summary["version"]) == (True, STEPS, STEPS)
        assert summary["records"] == {"offered": STEPS, "acknowledged": 0, "dropped": STEPS}
    assert (cluster.directory / "models" / "tiny-model" / "model.safetensors").exists()
    assert cluster.client.job("tiny").state == "finished"


def test_a_worker_killed_in_the_middle_of_a_step_is_replaced_by_the_other(
    cluster: Cluster, reference: Reference
) -> None:
    survivor = cluster.worker("survivor")
    victim = cluster.worker("victim", {"HANG_AT_STEP": "6"})
    victim.wait_for(lambda worker: worker.hangs, "the victim reaches step 6")
    victim.process.kill()
    assert survivor.join() == 0, survivor.log
    assert "membership_changed" in survivor.log
    assert [step for step, _, _ in survivor.trace] == list(range(STEPS))
    losses = mean_losses([survivor.trace, victim.trace], STEPS)
    assert losses == pytest.approx(reference.losses, rel=1e-4)
    assert_parameters_equal(cluster, reference)
    assert survivor.summary["steps"] == STEPS


def test_a_loss_that_is_no_number_does_not_end_the_run(cluster: Cluster) -> None:
    sound, broken = cluster.worker("sound"), cluster.worker("broken", {"NAN_AT_STEP": "4"})
    assert [sound.join(), broken.join()] == [0, 0], sound.log + broken.log
    assert "gradient_left_out" in broken.log
    assert [step for step, loss, _ in broken.trace if np.isnan(loss)] == [4]
    assert not any(np.isnan(loss) for _, loss, _ in sound.trace)
    snapshot = cluster.shard.snapshot()
    assert snapshot is not None
    assert np.isfinite(snapshot.values).all()
    assert broken.summary["final_loss"] < broken.summary["first_loss"]


def test_sigterm_ends_a_worker_after_its_step_and_the_other_goes_on(cluster: Cluster) -> None:
    cluster.settings = cluster.settings.model_copy(update={"steps": 3000})
    workers = [cluster.worker(f"w{number}") for number in range(2)]
    for worker in workers:
        worker.wait_for(lambda worker: len(worker.trace) >= 3, "both train")
    workers[0].process.send_signal(signal.SIGTERM)
    assert workers[0].join() == 0, workers[0].log
    assert workers[0].summary["finished"] is False
    assert workers[0].summary["steps"] == len(workers[0].trace)
    steps = len(workers[1].trace)
    workers[1].wait_for(lambda worker: len(worker.trace) > steps + 3, "the other trains on alone")
    workers[1].process.send_signal(signal.SIGTERM)
    assert workers[1].join() == 0, workers[1].log
