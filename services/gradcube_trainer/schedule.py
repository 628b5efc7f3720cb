"""The learning rate as a function of the step, so that a worker that comes late or again needs no history."""


def learning_rate(step: int, *, peak: float, warmup_steps: int, steps: int) -> float:
    """Linear warm-up to `peak` over `warmup_steps`, then linear decay; not yet 0 at the last of `steps`."""
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    return peak * max(steps - step, 1) / max(steps - warmup_steps, 1)
