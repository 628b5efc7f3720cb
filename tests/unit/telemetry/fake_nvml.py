"""A stand-in for pynvml, for machines without a driver. It is a fake: its numbers are made up, and it says so.

It lacks some counters and refuses others, as real devices do.
"""
# ruff: noqa: N802, N815 - NVML names its functions

from types import SimpleNamespace


class FakeNvmlError(Exception):
    """This fake's NVMLError."""


class FakeNvml:
    IS_A_FAKE = True
    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
    NVML_VOLATILE_ECC = 0
    NVML_PCIE_UTIL_TX_BYTES = 0
    NVML_PCIE_UTIL_RX_BYTES = 1
    nvmlEventTypeXidCriticalError = 8

    def __init__(self, *, num_gpus: int = 1, pids: tuple[int, ...] = (), lost: tuple[int, ...] = ()) -> None:
        self.num_gpus = num_gpus
        self.pids = pids
        self.lost = lost
        self.xids: list[int] = []
        self.open = False

    def nvmlInit(self) -> None:
        self.open = True

    def nvmlShutdown(self) -> None:
        self.open = False

    def nvmlDeviceGetCount(self) -> int:
        return self.num_gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index in self.lost:
            raise FakeNvmlError("GPU is lost")
        return index

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=87, memory=40)

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> SimpleNamespace:
        return SimpleNamespace(used=3 * 2**30, total=80 * 2**30)

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:
        return 350_500

    def nvmlDeviceGetClockInfo(self, gpu: int, clock: int) -> int:
        assert clock == self.NVML_CLOCK_SM
        return 1980

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: int) -> int:
        return 4  # under its old name alone, as before driver 535

    def nvmlDeviceGetTotalEccErrors(self, gpu: int, kind: int, counter: int) -> int:
        raise FakeNvmlError("Not Supported")

    def nvmlDeviceGetPcieThroughput(self, gpu: int, direction: int) -> int:
        if direction == self.NVML_PCIE_UTIL_RX_BYTES:
            raise FakeNvmlError("Not Supported")
        return 1500

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid) for pid in self.pids]

    def nvmlEventSetCreate(self) -> object:
        return object()

    def nvmlDeviceRegisterEvents(self, gpu: int, kinds: int, events: object) -> None:
        assert kinds == self.nvmlEventTypeXidCriticalError

    def nvmlEventSetWait_v2(self, events: object, timeout_millis: int) -> int:
        assert timeout_millis == 0
        if not self.xids:
            raise FakeNvmlError("Timeout")
        return self.xids.pop()
