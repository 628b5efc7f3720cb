"""Detectors and verdicts: frames of steps in, findings out. Pure: no I/O, no clock.

`engine` asks the detectors of `catalog`, each behind a `guard`, about the frames that `assembler` puts together. The
detectors: `slow` (ranks, nodes, stages, jobs, data), `hangs`, `loss`, `gradients`, `servers`, `resources`, and `gaps`
in what is heard.
"""

from gradcube.diagnosis.assembler import StepAssembler
from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.engine import Diagnosis
from gradcube.diagnosis.findings import Evidence, Finding, Subject, finding_id, from_record, to_record, word_of
from gradcube.diagnosis.frames import StepFrame, Waiting
from gradcube.diagnosis.slow.straggler import StragglerDetector, StragglerSettings

__all__ = [
    "Detector",
    "Diagnosis",
    "Evidence",
    "Finding",
    "StepAssembler",
    "StepFrame",
    "StragglerDetector",
    "StragglerSettings",
    "Subject",
    "Waiting",
    "finding_id",
    "from_record",
    "to_record",
    "word_of",
]
