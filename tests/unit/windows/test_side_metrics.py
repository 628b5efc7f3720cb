"""Resources, servers, dependencies and MFU: what does not come from the model."""

import numpy as np
import pytest
from tests.unit.windows.making import SECOND, START, facts_of, make_resources, make_rows, make_servers, one, value

from gradcube.windows import JobDescription, ResourceRows, ServerRows
from gradcube.windows.metrics.peaks import PEAKS, peak_flops


def test_shares_of_memory_are_of_what_there_is() -> None:
    facts = facts_of(
        make_resources(
            [1, 2], rank=0, gpu_memory_used_bytes=[20, 40], gpu_memory_total_bytes=80, memory_used_bytes=10,
            cgroup_memory_limit_bytes=40,
        ),
        make_resources([1], memory_used_bytes=3, memory_total_bytes=4),
    )  # fmt: skip
    assert value(facts, "gpu_memory_used_ratio", "rank") == pytest.approx(0.375)
    assert value(facts, "memory_limit_ratio", "rank") == 0.25
    assert value(facts, "memory_used_ratio", "node") == 0.75


def test_throttling_is_told_by_its_reason_and_idleness_is_none() -> None:
    reasons = [0x1, 0x0, 0x20, 0x4, 0x8, 0x102, 0x40, np.nan]
    facts = facts_of(make_resources([1] * 8, rank=0, gpu_throttle_reasons=reasons))
    assert value(facts, "gpu_throttled_ratio", "rank") == pytest.approx(4 / 7)
    assert value(facts, "gpu_thermal_throttled_ratio", "rank") == pytest.approx(2 / 7)
    assert value(facts, "gpu_power_throttled_ratio", "rank") == pytest.approx(1 / 7)
    assert one(facts, "gpu_throttled_ratio", "rank")["SAMPLES"] == 7


def test_errors_of_a_node_are_those_of_its_worst_device_so_far() -> None:
    facts = facts_of(make_resources([1, 1, 2], gpu_ecc_errors_total=[0, 7, 1], gpu_xid_errors_total=[0, 0, 2]))
    assert value(facts, "gpu_ecc_errors_total", "node") == 7
    assert value(facts, "gpu_xid_errors_total", "node") == 2


def test_a_job_has_the_resources_of_all_its_ranks() -> None:
    facts = facts_of(
        make_resources([1], rank=0, gpu_power_watts=300.0, gpu_ecc_errors_total=0),
        make_resources([1], rank=1, gpu_power_watts=500.0, gpu_ecc_errors_total=3),
        make_resources([1], gpu_power_watts=9.0),
    )
    assert value(facts, "gpu_power_watts") == 400.0
    assert value(facts, "gpu_ecc_errors_total") == 3


def test_cpu_throttling_is_the_counters_way_over_the_window() -> None:
    facts = facts_of(make_resources([1, 5, 9], rank=0, cgroup_cpu_throttled_seconds_total=[10.0, 11.0, 12.5]))
    assert value(facts, "cpu_throttled_ratio", "rank") == pytest.approx(0.25)
    assert value(facts, "cpu_throttled_ratio") == pytest.approx(0.25)
    assert not [
        f
        for f in facts_of(make_resources([1], rank=0, cgroup_cpu_throttled_seconds_total=4.0))
        if f["METRIC"] == "cpu_throttled_ratio"
    ], "one sample of a counter says nothing"


def test_updates_of_shards_add_up_in_the_job() -> None:
    facts = facts_of(
        make_servers([1, 2], shard=0, pushes=4, dropped_updates=[1, 0], stale_updates=2, pushed_bytes=500),
        make_servers([1], shard=1, pushes=4, dropped_updates=2, stale_updates=0, pushed_bytes=500),
    )
    assert value(facts, "dropped_updates") == 3
    assert value(facts, "dropped_updates", "shard", subject="1") == 2
    assert value(facts, "stale_updates") == 4
    assert value(facts, "pushes") == 12
    assert value(facts, "versions_per_second", "shard", subject="0") == pytest.approx(0.2)
    assert value(facts, "pushed_bytes_per_second") == pytest.approx(150.0)


def test_delay_is_from_the_end_of_a_step_to_the_brokers_clock() -> None:
    ended = START + np.array([1, 2, 3, 4]) * SECOND
    delays = np.array([0.1, 0.2, 0.3, -0.2])
    rows = make_rows([1, 2, 3, 4], appended_at_micros=ended + (delays * SECOND).astype(np.int64))
    facts = facts_of(rows)
    assert value(facts, "append_delay_seconds") == pytest.approx(0.15)
    assert one(facts, "append_delay_seconds")["METRIC_MAX"] == pytest.approx(0.3)
    assert value(facts, "append_delay_seconds_p50") == pytest.approx(0.1, rel=0.011)
    assert value(facts, "append_delay_seconds", "node") == pytest.approx(0.15)


def test_samples_and_servers_have_delays_of_their_own() -> None:
    facts = facts_of(make_resources([1], cpu_utilization_ratio=0.5), make_servers([1], apply_seconds=0.1))
    assert value(facts, "sample_delay_seconds", "node") == pytest.approx(0.001)
    assert value(facts, "server_delay_seconds", "shard") == pytest.approx(0.001)


def test_a_nodes_clock_is_compared_with_those_of_the_other_nodes() -> None:
    def of_node(rank: int, ahead: float) -> object:
        ended = START + np.round((np.array([1, 2, 3]) + ahead) * SECOND).astype(np.int64)
        lag = np.array([0.5, 0.02, 0.9])
        appended = START + np.round((np.array([1, 2, 3]) + lag) * SECOND).astype(np.int64)
        return make_rows([1, 2, 3], rank=rank, node=f"node-{rank}", ended_at_micros=ended, appended_at_micros=appended)

    facts = facts_of(of_node(0, 0.0), of_node(1, 0.25), of_node(2, 0.0), of_node(3, -0.5))
    offsets = [value(facts, "clock_offset_seconds", "node", subject=f"node-{rank}") for rank in range(4)]
    assert offsets == pytest.approx([0.0, 0.25, 0.0, -0.5], abs=1e-6)


H100 = JobDescription("bert", "gpt", 7_000_000_000, "64 x NVIDIA H100 80GB HBM3")


def test_mfu_is_six_parameters_a_token_over_the_peak_of_all_gpus() -> None:
    rows = make_rows([1, 1, 2, 2], rank=[0, 1, 0, 1], seq=[0, 0, 1, 1], tokens=40_000, step_seconds=1.0)
    wanted = 6 * 7e9 * 16_000 / (2 * 989e12)
    assert value(facts_of(rows, description=H100), "mfu_ratio") == pytest.approx(wanted)


@pytest.mark.parametrize(
    "description", [None, JobDescription("bert", "gpt", 7, "2 cores"), JobDescription("bert", "", 0, "H100")]
)
def test_there_is_no_mfu_without_a_known_model_on_known_hardware(description: JobDescription | None) -> None:
    facts = facts_of(make_rows([1], tokens=100, step_seconds=1.0), description=description)
    assert "mfu_ratio" not in {fact["METRIC"] for fact in facts}


@pytest.mark.parametrize(
    ("hardware", "flops"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 NVL", 835e12),
        ("8xNVIDIA-A100-SXM4-80GB", 312e12), ("Tesla V100-SXM2-16GB", 125e12), ("AMD Instinct MI300X", 1307e12),
        ("cpu", None), ("", None), ("NVIDIA RT4000", None),
    ],
)  # fmt: skip
def test_peaks_go_by_the_name_of_the_gpu(hardware: str, flops: float | None) -> None:
    assert peak_flops(hardware) == flops


def test_a_special_name_stands_before_the_name_that_it_contains() -> None:
    names = [name for name, _ in PEAKS]
    assert all(names.index(special) < names.index("H100") for special in names if special.startswith("H100 "))


@pytest.mark.parametrize(("rows", "name"), [
    (make_resources([1, 2], gpu_power_watts=5.0), "gpu_ecc_errors_total"),
    (make_resources([1, 2], gpu_power_watts=5.0), "store_reach_seconds"),
    (make_servers([1, 2]), "pushes"),
])  # fmt: skip
def test_rows_of_an_older_release_lack_what_came_later(rows: ResourceRows | ServerRows, name: str) -> None:
    columns = rows.to_columns()
    del columns[name]
    again = type(rows).from_columns("bert", {**columns, "of_a_newer_release": np.zeros(2)})
    assert np.isnan(again.to_columns()[name]).all()  # type: ignore[arg-type]
    assert again.offset.tolist() == rows.offset.tolist()
