import os
import subprocess
import sys

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.telemetry.fake_nvml import FakeNvml

from gradcube.events import decode, encode
from gradcube.telemetry.counters import Rates, read
from gradcube.telemetry.gpus import GpuReader
from gradcube.telemetry.sampler import RankProcess, ResourceSampler, resource_key


def build(seconds=None) -> ResourceSampler:
    ticks = iter(seconds or range(1000))
    return ResourceSampler("n", gpus=GpuReader(FakeNvml(num_gpus=0)), clock=lambda: float(next(ticks)))


def raise_access_denied(*_):
    raise psutil.AccessDenied()


def test_every_record_fits_the_schema():
    sampler = build()
    own = RankProcess(os.getpid(), "bert", 2, 3)
    sampler.sample([own])
    records = [decode(encode("ResourceSample", record))[1] for record in sampler.sample([own])]
    assert [record["device"] for record in records] == ["host", f"process:{os.getpid()}"]
    assert [(r["job"], r["attempt"], r["rank"]) for r in records] == [(None, None, None), ("bert", 2, 3)]
    assert resource_key(records[0]) == b"n/host"


def test_first_sample_has_levels_but_no_rates():
    first, second = build().sample_host(), None
    assert first["memory_total_bytes"] == psutil.virtual_memory().total
    assert first["cpu_utilization_ratio"] is None
    assert first["network_sent_bytes_per_second"] is second


def test_host_utilization_is_the_busy_share_of_all_cores(monkeypatch):
    fields = psutil.cpu_times()._fields
    times = iter([{"user": 10.0, "idle": 90.0}, {"user": 11.0, "idle": 92.0, "iowait": 1.0, "guest": 1.0}])
    build_times = type(psutil.cpu_times())
    monkeypatch.setattr(psutil, "cpu_times", lambda: build_times(**(dict.fromkeys(fields, 0.0) | next(times))))
    sampler = build()
    sampler.sample_host()
    # One second of user time, of which the guest's is a part, against two of idling and one of waiting.
    assert sampler.sample_host()["cpu_utilization_ratio"] == pytest.approx(0.25)


def test_process_rates_are_per_second_between_samples(monkeypatch):
    sampler, own = build([0, 2]), RankProcess(os.getpid(), "bert", 0, 0)
    times = psutil.Process().cpu_times()
    cpu = iter([times._replace(user=1.0, system=1.0), times._replace(user=3.0, system=2.0)])
    monkeypatch.setattr(psutil.Process, "cpu_times", lambda self: next(cpu))
    assert sampler.sample_process(own)["cpu_utilization_ratio"] is None
    assert sampler.sample_process(own)["cpu_utilization_ratio"] == 1.5


def test_each_counter_is_guarded_on_its_own(monkeypatch):
    monkeypatch.setattr(psutil.Process, "io_counters", raise_access_denied)
    monkeypatch.setattr(psutil, "net_io_counters", raise_access_denied)
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)  # a machine without disks
    sampler, own = build(), RankProcess(os.getpid(), "bert", 0, 0)
    sampler.sample([own])
    host, process = sampler.sample([own])
    assert process["disk_read_bytes_per_second"] is host["disk_read_bytes_per_second"] is None
    assert host["network_received_bytes_per_second"] is None
    assert process["memory_used_bytes"] > 0
    assert process["cpu_utilization_ratio"] is not None
    assert host["memory_used_bytes"] > 0


def test_loopback_is_not_the_network(monkeypatch):
    card = type(psutil.net_io_counters())
    sent = iter([0, 500])

    def counters(pernic):
        assert pernic
        total = next(sent)
        zeros = dict.fromkeys(card._fields, 0)
        return {
            "lo": card(**zeros | {"bytes_sent": 100 * total}),
            "eth0": card(**zeros | {"bytes_sent": total, "bytes_recv": 2 * total}),
        }

    monkeypatch.setattr(psutil, "net_io_counters", counters)
    sampler = build()
    sampler.sample_host()
    host = sampler.sample_host()
    assert (host["network_sent_bytes_per_second"], host["network_received_bytes_per_second"]) == (500, 1000)


def test_vanished_process_has_no_record():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sampler, rank = build(), RankProcess(child.pid, "bert", 0, 1)
    assert sampler.sample_process(rank)["memory_used_bytes"] > 0
    child.communicate(b"\n")
    assert sampler.sample_process(rank) is None
    assert [record["device"] for record in sampler.sample([rank])] == ["host"]


def test_zombie_counts_as_vanished():
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert build().sample_process(RankProcess(child.pid, "bert", 0, 1)) is None
    child.wait()


def test_rank_that_is_no_longer_named_is_forgotten():
    sampler, own = build(), RankProcess(os.getpid(), "bert", 0, 0)
    sampler.sample([own])
    sampler.sample([])
    assert sampler.sample([own])[1]["cpu_utilization_ratio"] is None


def test_unreadable_counter_is_none():
    assert read(lambda: 1 / 0) is None
    assert read(lambda: 0) == 0


@given(st.lists(st.one_of(st.none(), st.integers(0, 2**40)), min_size=2, max_size=20))
def test_rate_is_never_negative_and_needs_two_readings_in_a_row(totals):
    rates = Rates()
    seen = [rates.per_second("x", total, now) for now, total in enumerate(totals)]
    for before, total, rate in zip([None, *totals], totals, seen, strict=False):
        if before is None or total is None or total < before:
            assert rate is None
        else:
            assert rate == total - before


def test_clock_that_stands_still_gives_no_rate():
    rates = Rates()
    rates.per_second("x", 1, 5.0)
    assert rates.per_second("x", 2, 5.0) is None


def test_sampler_needs_no_torch():
    code = "import sys, gradcube.telemetry.sampler; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
