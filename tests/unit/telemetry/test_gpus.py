import pytest
from tests.unit.telemetry.fake_nvml import FakeNvml, FakeNvmlError

from gradcube.events import decode, encode
from gradcube.telemetry.gpus import GpuReader
from gradcube.telemetry.sampler import RankProcess, ResourceSampler


def test_counters_are_in_the_units_of_their_names():
    [gpu] = GpuReader(FakeNvml()).sample()
    assert gpu.fields["gpu_utilization_ratio"] == 0.87
    assert gpu.fields["gpu_memory_used_bytes"] == 3 * 2**30
    assert gpu.fields["gpu_memory_total_bytes"] == 80 * 2**30
    assert gpu.fields["gpu_power_watts"] == 350.5
    assert gpu.fields["gpu_sm_clock_hertz"] == 1.98e9
    assert gpu.fields["gpu_pcie_sent_bytes_per_second"] == 1.5e6
    assert gpu.fields["gpu_throttle_reasons"] == 4


def test_counters_that_the_device_lacks_are_none_and_cost_no_other():
    [gpu] = GpuReader(FakeNvml()).sample()
    absent = {name for name, value in gpu.fields.items() if value is None}
    assert absent == {"gpu_temperature_celsius", "gpu_ecc_errors_total", "gpu_pcie_received_bytes_per_second"}


def test_xid_errors_add_up_from_none_seen():
    nvml = FakeNvml()
    reader = GpuReader(nvml)
    totals = []
    for seen in ([], [79], [], [48, 63]):
        nvml.xids = list(seen)
        totals.append(reader.sample()[0].fields["gpu_xid_errors_total"])
    assert totals == [0, 1, 1, 3]


def test_device_without_xid_events_has_no_count_of_them():
    nvml = FakeNvml()
    nvml.nvmlEventSetCreate = lambda: (_ for _ in ()).throw(FakeNvmlError("Not Supported"))
    assert GpuReader(nvml).sample()[0].fields["gpu_xid_errors_total"] is None


def test_lost_gpu_is_still_a_record_without_numbers():
    sampler = ResourceSampler("n", gpus=GpuReader(FakeNvml(num_gpus=2, lost=(1,))))
    first, second = (decode(encode("ResourceSample", record))[1] for record in sampler.sample_gpus())
    assert (first["device"], second["device"]) == ("gpu:0", "gpu:1")
    assert first["gpu_power_watts"] == 350.5
    assert all(value is None for name, value in second.items() if name.startswith("gpu_"))


@pytest.mark.parametrize("pids", [(), (11, 12), (99,)])
def test_gpu_belongs_to_nobody_unless_one_rank_alone_computes_on_it(pids):
    ranks = [RankProcess(11, "bert", 1, 5), RankProcess(12, "bert", 1, 6)]
    [record] = ResourceSampler("n", gpus=GpuReader(FakeNvml(pids=pids))).sample_gpus(ranks)
    assert "rank" not in record


def test_gpu_carries_the_rank_that_computes_on_it():
    ranks = [RankProcess(11, "bert", 1, 5), RankProcess(12, "bert", 1, 6)]
    [record] = ResourceSampler("n", gpus=GpuReader(FakeNvml(pids=(12, 99)))).sample_gpus(ranks)
    assert (record["job"], record["attempt"], record["rank"]) == ("bert", 1, 6)


def test_no_driver_means_no_gpus():
    nvml = FakeNvml()
    nvml.nvmlInit = lambda: (_ for _ in ()).throw(FakeNvmlError("Driver Not Loaded"))
    reader = GpuReader(nvml)
    assert reader.sample() == []
    reader.close()


def test_closed_reader_lets_go_of_the_driver():
    nvml = FakeNvml()
    reader = GpuReader(nvml)
    assert nvml.open
    reader.close()
    assert not nvml.open
    assert reader.sample() == []
