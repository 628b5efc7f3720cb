"""Whose pod a process is, by the paths that kubelets make."""

import os

import pytest
from tests.unit.telemetry.fake_nvml import FakeNvml

from gradcube.telemetry import sampler
from gradcube.telemetry.cgroup import pod_uid
from gradcube.telemetry.gpus import GpuReader
from gradcube.telemetry.sampler import RankProcess, ResourceSampler

UID = "8a2d3c4e-1f00-4b6a-9c1d-0123456789ab"
OF_SYSTEMD = UID.replace("-", "_")


@pytest.mark.parametrize(
    ("cgroup", "pod"),
    [
        (f"0::/kubepods/burstable/pod{UID}/4c0f\n", UID),
        (f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{OF_SYSTEMD}.slice/cri-4c.scope\n", UID),
        (f"12:memory:/kubepods/pod{UID}/4c0f\n0::/\n", UID),
        (f"0::/../../kubepods-pod{OF_SYSTEMD}.slice/cri-containerd-4c.scope\n", UID),
        (f"0::/../pod{UID}", UID),
        ("0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/4c0f\n", "0123456789abcdef0123456789abcdef"),
        ("0::/\n", None),
        ("0::/machine.slice/libpod-0123456789abcdef0123456789abcdef.scope\n", None),
        (f"0::/user.slice/mypod{UID}/x\n", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_pod_is_known_by_the_kubelets_folder(tmp_path, cgroup, pod):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(cgroup)
    assert pod_uid(7, proc=tmp_path) == pod


def test_a_process_that_is_gone_is_in_no_pod(tmp_path):
    assert pod_uid(7, proc=tmp_path) is None


@pytest.mark.parametrize(
    ("pods", "expected"),
    [({5: "a"}, "a"), ({5: "a", 6: "a"}, "a"), ({5: "a", 6: "b"}, None), ({5: "a", 6: None}, None), ({}, None)],
)
def test_a_gpu_is_of_the_pod_that_alone_computes_on_it(monkeypatch, pods, expected):
    monkeypatch.setattr(sampler, "pod_uid", pods.get)
    [record] = ResourceSampler("n", gpus=GpuReader(FakeNvml(pids=tuple(pods)))).sample_gpus()
    assert record["pod"] == expected


def test_a_ranks_process_carries_its_pod(monkeypatch):
    monkeypatch.setattr(sampler, "pod_uid", lambda _: UID)
    assert (
        ResourceSampler("n", gpus=GpuReader(FakeNvml())).sample_process(RankProcess(os.getpid(), "b", 0, 0))["pod"]
        == UID
    )
