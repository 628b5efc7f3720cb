"""Norm, mean, variance, largest magnitude and non-finite count of gradients, in at most three passes over memory.

In: gradient tensors, as they lie. Out: rows (sum of squares, sum, min, max, non-finite; NaN where the sum of squares
alone was wanted) for `summarise`, which makes a record's bucket fields of them. On an accelerator they stay there until
a copy to the host is through.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan, sqrt

import numpy as np
import torch
from numpy.typing import NDArray

NORM, MEAN, VARIANCE, ABSMAX = 4, 5, 6, 7
"""Rows of BUCKET_FIELDS."""


@dataclass(slots=True)
class Measurement:
    """What was measured in a step: parallel lists, one entry a piece of a bucket.

    `values` has five floats a piece; `on_device` has the same as tensors for gradients that are not on the CPU.
    `whole` says whether every gradient of the step is in here.
    """

    whole: bool = True

    buckets: list[int] = field(default_factory=list)
    elements: list[int] = field(default_factory=list)
    values: list[Sequence[float]] = field(default_factory=list)
    on_device: list[torch.Tensor] = field(default_factory=list)

    def add(self, bucket: int, gradient: torch.Tensor, *, norm_alone: bool = False) -> None:
        """Measures one gradient. It is read at once: what happens to it later does not matter."""
        flat = _flat(gradient.detach())
        if flat.numel() == 0:
            return
        self.buckets.append(bucket)
        self.elements.append(flat.numel())
        if flat.is_cpu:
            self.values.append(_measure_on_host(flat, norm_alone))
        else:
            self.on_device.append(_measure_on_device(flat))


def pieces(gradients: Iterable[torch.Tensor | None]) -> list[torch.Tensor]:
    """Gradients that lie one after the other in memory, as views of what they form together; the rest as they are."""
    joined: list[torch.Tensor] = []
    run: list[torch.Tensor] = []
    end = 0
    for gradient in gradients:
        if gradient is None:
            continue
        dense = gradient.layout == torch.strided and gradient.is_contiguous()
        if run and not (dense and gradient.data_ptr() == end and _same_storage(gradient, run[0])):
            joined.append(_join(run))
            run = []
        run.append(gradient)
        end = gradient.data_ptr() + gradient.nbytes if dense else 0
    return [*joined, _join(run)] if run else joined


def summarise(measured: Measurement, rows: Iterable[Sequence[float]], table: NDArray[np.float32]) -> tuple[float, int]:
    """Fills the four gradient rows of `table` (8, buckets); returns the norm over everything (NaN for a part) and
    the non-finite count.

    `rows` are the measurement's five floats a piece, on the host. A variance is that of the population.
    """
    totals: dict[int, list[float]] = {}
    for bucket, elements, (squares, total, low, high, nonfinite) in zip(
        measured.buckets, measured.elements, rows, strict=True
    ):
        into = totals.setdefault(bucket, [0.0, 0.0, 0.0, 0.0, 0.0])
        into[0] += elements
        into[1] += squares
        into[2] += total
        into[3] = _larger(into[3], _larger(abs(low), abs(high)))
        into[4] += nonfinite
    for bucket, (count, squares, total, absmax, _) in totals.items():
        mean = total / count
        table[NORM:, bucket] = (sqrt(squares), mean, _at_least_zero(squares / count - mean * mean), absmax)
    nonfinite_count = int(sum(into[4] for into in totals.values()))
    norm = sqrt(sum(into[1] for into in totals.values())) if totals and measured.whole else nan
    return norm, nonfinite_count


def _measure_on_host(flat: torch.Tensor, norm_alone: bool) -> tuple[float, float, float, float, float]:
    squares = torch.dot(flat, flat).item()
    if norm_alone and isfinite(squares):
        return squares, nan, nan, nan, 0.0
    low, high = torch.aminmax(flat)
    if isfinite(squares):
        return squares, flat.sum().item(), low.item(), high.item(), 0.0
    # Only now a fourth pass: a finite sum of squares proves that everything is finite.
    nonfinite = flat.numel() - int(torch.isfinite(flat).sum())
    wide = flat.double()  # the squares of large finite values overflow float32
    return torch.dot(wide, wide).item(), wide.sum().item(), low.item(), high.item(), float(nonfinite)


def _measure_on_device(flat: torch.Tensor) -> torch.Tensor:
    low, high = torch.aminmax(flat)
    nonfinite = flat.numel() - torch.isfinite(flat).sum()
    return torch.stack([torch.dot(flat, flat), flat.sum(), low, high, nonfinite.to(flat.dtype)]).double()


def _flat(gradient: torch.Tensor) -> torch.Tensor:
    if gradient.layout != torch.strided:
        gradient = gradient.coalesce().values()
    flat = gradient.reshape(-1)
    return flat if flat.dtype in (torch.float32, torch.float64) else flat.float()


def _same_storage(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _join(run: list[torch.Tensor]) -> torch.Tensor:
    if len(run) == 1:
        return run[0]
    first = run[0].detach()
    return first.as_strided((sum(gradient.numel() for gradient in run),), (1,), first.storage_offset())


def _larger(one: float, other: float) -> float:
    return one if one != one or one >= other else other  # a NaN stays, on either side


def _at_least_zero(value: float) -> float:
    return 0.0 if value < 0.0 else value  # rounding; max() would lose a NaN
