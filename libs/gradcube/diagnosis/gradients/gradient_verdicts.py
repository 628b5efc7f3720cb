"""What is said of a rank's or a job's gradient: the sentences, with magnitude, confidence and evidence."""

from gradcube.diagnosis.episodes import Sight, named, steps
from gradcube.diagnosis.findings import Evidence, Subject

_SIGNALS = {"grad_norm": "gradient norm", "bucket_absmax": "largest gradient"}


def deviation_sight(subject: Subject, ratio: float, evidence: Evidence) -> Sight:
    """`ratio` is the rank's number over what it usually is against its peers."""
    times = f"{ratio:.3g}x" if ratio >= 1 else f"1/{1 / ratio:.3g}"
    verdict = (
        f"the {_SIGNALS[evidence.signal]} of {named(subject)} is {evidence.value:.3g}, {times} of what its stage peers "
        f"({evidence.peers:.3g}) let expect: wrong data, or silent corruption; replay the step on another device and "
        f"check the device's memory and ECC counters"
    )
    return Sight(verdict, max(ratio, 1 / ratio), 0.8, (evidence,))


def nonfinite_sight(subject: Subject, count: float) -> Sight:
    """One rank's gradient holds `count` elements that are no number, its peers' hold none."""
    verdict = (
        f"{count:.0f} gradient elements of {named(subject)} are not a number while its peers' all are: overflow, a bad "
        f"batch or silent corruption on that device; skip the step and replay it on another device"
    )
    return Sight(verdict, 1.0, 0.7, (Evidence("nonfinite", count, 0.0, "count"),))


def overflow_sight(wrong: int, ranks: int, run: int) -> Sight:
    """Most ranks' gradients are no number, for some steps in a row."""
    verdict = (
        f"the gradients of {wrong} of {ranks} ranks are not a number for {steps(run)} in a row: more than loss scaling "
        f"does by design; stop, go back to the last checkpoint, and lower the learning rate or the loss scale"
    )
    return Sight(verdict, float(wrong), 0.9, (Evidence("nonfinite_ranks", float(wrong), None, "count"),))


def calm_verdict(subject: Subject, onset_step: int, end_step: int) -> str:
    """The end of any of them."""
    return (
        f"the gradient of {named(subject)} is as usual again since step {end_step + 1}, "
        f"after {steps(end_step - onset_step + 1)}"
    )
