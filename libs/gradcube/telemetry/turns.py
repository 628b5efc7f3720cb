"""Which statistics of the gradients are due in a step: spread over a cycle of steps, so that no step pays for all."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """The place `step` in a cycle of `every` steps, or everything at once."""

    step: int
    every: int
    everything: bool = False

    @property
    def norms(self) -> bool:
        """Whether the norm of the whole gradient is due, and with it that of each bucket: once a cycle."""
        return self.everything or self.step % self.every == 0

    def has(self, bucket: int) -> bool:
        """Whether the bucket's other statistics are due: once a cycle, in a step between two norms."""
        if self.everything or self.every == 1:
            return True
        return self.step % self.every == 1 + bucket % (self.every - 1)
