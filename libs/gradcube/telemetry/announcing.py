"""What a rank tells of its whole job, once at its start: in, who it is and how it clips; out, one Lifecycle record."""

from gradcube.events import encode
from gradcube.telemetry.identity import RankIdentity
from gradcube.telemetry.records import StepEmitter

TOPIC = "gradcube.lifecycle"


def announce_clipping(
    emitter: StepEmitter, identity: RankIdentity, grad_clip_norm: float, *, world_size: int, at_micros: int
) -> None:
    """Offers the record that says above which norm this attempt clips its reduced gradient.

    Model, hardware and dataset stay empty in it: readers keep what a coordinator told them of those.
    """
    record = {
        "job": identity.job,
        "attempt": identity.attempt,
        "kind": "OTHER",
        "at": at_micros,
        "epoch": 0,
        "rank": identity.rank,
        "node": identity.node,
        "detail": f"gradients are clipped to a norm of {grad_clip_norm:g}",
        "model": "",
        "model_parameters": 0,
        "hardware": "",
        "dataset": "",
        "world_size": world_size,
        "grad_clip_norm": grad_clip_norm,
    }
    emitter.offer(TOPIC, identity.job.encode(), encode("Lifecycle", record))
