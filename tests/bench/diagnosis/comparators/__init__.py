"""What users have today, each from its published rule, one file a rule; none shares code with gradcube or its source.

A rule for stragglers takes a Recording and gives flags (steps, ranks); a rule for loss takes loss (steps,) and the
gradient norm (steps,) or None, and gives flags (steps,). All are causal. Where a rule leaves a choice open, the file
says which one was taken, and it is the kinder one.
"""

from collections.abc import Callable, Mapping

from gradcube.windows.columns import BoolArray, FloatArray
from tests.bench.diagnosis.comparators import (
    fixed_ratio,
    greyhound,
    llm_foundry,
    megatron,
    node_verdict,
    nvrx,
    olmo_core,
    three_sigma,
    zclip,
)
from tests.bench.diagnosis.recordings import Recording

SlowRule = Callable[[Recording], BoolArray]
LossRule = Callable[[FloatArray, "FloatArray | None"], BoolArray]

SLOW_RULES: Mapping[str, SlowRule] = {
    "NVRx relative < 0.75": nvrx.relative,
    "NVRx individual < 0.75": nvrx.individual,
    "Greyhound BOCD+V": greyhound.flags,
    "1.04x, three in a row": fixed_ratio.flags,
    "3 sigma": three_sigma.flags,
    "Node Verdict 1.15x": node_verdict.flags,
}
LOSS_RULES: Mapping[str, LossRule] = {
    "OLMo-core 6 sigma": olmo_core.flags,
    "llm-foundry 2x mean": llm_foundry.flags,
    "ZClip z > 2.5": zclip.flags,
    "Megatron 10x max": megatron.flags,
}
