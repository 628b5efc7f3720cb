"""Numbers that are still on an accelerator: copied to the host without making the host wait for them."""

from collections.abc import Sequence
from typing import Protocol

import torch


class HostCopy(Protocol):
    """Numbers on their way to the host."""

    def ready(self) -> bool:
        """Whether `numbers` answers without waiting."""

    def numbers(self) -> list[float]:
        """The numbers, after waiting for them if need be."""


class DeviceCopy:
    """A copy into page-locked memory that was put into the device's own stream.

    `ready` asks an event and never waits: the step that the numbers belong to may still be running on the device.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        flat = torch.cat([tensor.detach().reshape(-1).double() for tensor in tensors])
        self._host = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=flat.is_cuda)
        self._host.copy_(flat, non_blocking=True)
        self._event = torch.cuda.Event() if flat.is_cuda else None  # type: ignore[no-untyped-call]
        if self._event is not None:
            self._event.record(torch.cuda.current_stream(flat.device))

    def ready(self) -> bool:
        """Whether the copy is through; at once for devices without events, whose copies wait by themselves."""
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def numbers(self) -> list[float]:
        """All numbers in the order of the tensors, as float64."""
        if self._event is not None:
            self._event.synchronize()
        numbers: list[float] = self._host.tolist()
        return numbers
