"""What a GPU can do at best: published dense BF16 (FP16 where there is no BF16) tensor FLOP/s, by name."""

from typing import Final

PEAKS: Final = (
    ("B200", 2250e12),  # NVIDIA Blackwell datasheet: 4.5 PFLOP/s with sparsity
    ("H200", 989e12),  # nvidia.com/en-us/data-center/h200
    ("H100 NVL", 835e12),  # nvidia.com/en-us/data-center/h100
    ("H100 PCIE", 756e12),  # NVIDIA H100 datasheet
    ("H100", 989e12),  # nvidia.com/en-us/data-center/h100, SXM: 1 979 with sparsity
    ("A100", 312e12),  # nvidia.com/en-us/data-center/a100
    ("V100", 125e12),  # NVIDIA V100 datasheet, SXM2, FP16
    ("L40S", 362e12),  # NVIDIA L40S datasheet: 733 with sparsity
    ("T4", 65e12),  # NVIDIA T4 datasheet, FP16
    ("MI300X", 1307e12),  # amd.com, Instinct MI300X
    ("MI250X", 191.5e12),  # amd.com, Instinct MI250X: 383 of its two dies, of which each is a device
)
"""More special names first."""


def peak_flops(hardware: str) -> float | None:
    """FLOP/s of one GPU of a job's HARDWARE such as '64 x NVIDIA H100 80GB HBM3'; None when it is not known."""
    words = hardware.upper().replace("-", " ").replace("_", " ")
    padded = f" {' '.join(words.split())} "
    return next((flops for name, flops in PEAKS if f" {name} " in padded), None)
