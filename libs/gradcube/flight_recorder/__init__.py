"""PyTorch's NCCL flight recorder: the dumps of a hung job's ranks in, the ranks that it waits for out."""

from gradcube.flight_recorder.diagnose import diagnose_dumps

__all__ = ["diagnose_dumps"]
