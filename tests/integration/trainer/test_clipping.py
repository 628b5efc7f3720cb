"""A worker's own gradient is held down after the monitor has looked at it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.unit.telemetry.test_announcing import Emitter

import gradcube
from gradcube.sync.torch_adapter import FlatModel
from gradcube_trainer.dataset import Dataset
from gradcube_trainer.loop import Progress, Worker, _clip
from gradcube_trainer.settings import TrainerSettings


@pytest.mark.parametrize(("limit", "left"), [(None, 5.0), (10.0, 5.0), (1.0, 1.0)])
def test_the_pushed_gradient_is_clipped_and_the_recorded_norm_is_from_before(limit: float | None, left: float) -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    flat, emitter = FlatModel(model), Emitter()
    monitor = gradcube.Monitor(model, job="bert", node="n", rank=0, emitter=emitter, gradient_statistics_every=1)
    settings = TrainerSettings(clip_grad_norm=limit)
    other = SimpleNamespace()
    worker = Worker(settings, Dataset("", other, []), model, flat, other, other, monitor, Progress())
    (model(torch.tensor([[3.0, 4.0]]))).sum().backward()
    _clip(worker)
    assert np.linalg.norm(flat.gradient()) == pytest.approx(left, rel=1e-5)
    with monitor.phase("sync_wait"):
        pass
    monitor.step(0.0)
    assert emitter.records[-1][2]["grad_norm"] == pytest.approx(5.0)
