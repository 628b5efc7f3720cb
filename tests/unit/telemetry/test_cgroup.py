import pytest

from gradcube.telemetry.cgroup import CgroupLimits, read_cgroup


@pytest.fixture
def machine(tmp_path):
    """A process 7 in /pod/container, of which both have files; `write(folder, file, text)` makes them."""

    def write(folder, file, text):
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(text)

    write("proc/7", "cgroup", "1:name=systemd:/x\n0::/pod/container\n")
    write("root/pod/container", "cpu.max", "max 100000\n")
    write("root/pod/container", "memory.max", "max\n")
    return write


def limits(tmp_path, pid=7) -> CgroupLimits:
    return read_cgroup(pid, proc=tmp_path / "proc", root=tmp_path / "root")


def test_no_limit_is_none(machine, tmp_path):
    assert limits(tmp_path) == CgroupLimits(None, None, None)


def test_limits_of_the_own_cgroup(machine, tmp_path):
    machine("root/pod/container", "cpu.max", "150000 100000\n")
    machine("root/pod/container", "memory.max", "268435456\n")
    machine("root/pod/container", "cpu.stat", "usage_usec 9\nnr_throttled 2\nthrottled_usec 2500000\n")
    assert limits(tmp_path) == CgroupLimits(1.5, 268435456, 2.5)


def test_tightest_limit_of_the_parents_holds(machine, tmp_path):
    machine("root/pod/container", "cpu.max", "400000 100000\n")
    machine("root/pod", "cpu.max", "200000 100000\n")
    machine("root/pod", "memory.max", "1000\n")
    machine("root/pod", "cpu.stat", "throttled_usec 3000000\n")
    assert limits(tmp_path) == CgroupLimits(2.0, 1000, 3.0)


def test_one_broken_file_costs_its_own_number_alone(machine, tmp_path):
    machine("root/pod/container", "cpu.max", "nonsense")
    machine("root/pod/container", "cpu.stat", "usage_usec 9\n")
    machine("root/pod/container", "memory.max", "4096")
    assert limits(tmp_path) == CgroupLimits(None, 4096, None)


@pytest.mark.parametrize("line", ["0::/../other", "0::/pod/..", "4:memory:/pod/container", "", "0::/gone"])
def test_cgroup_that_cannot_be_seen_is_no_limit(machine, tmp_path, line):
    machine("root/other", "memory.max", "1")
    machine("other", "memory.max", "1")
    machine("proc/7", "cgroup", line + "\n")
    assert limits(tmp_path) == CgroupLimits()


def test_vanished_process_is_no_limit(machine, tmp_path):
    assert limits(tmp_path, pid=8) == CgroupLimits()
