"""Detectors and verdicts: frames of steps in, findings out. Pure: no I/O, no clock."""

from gradcube.diagnosis.engine import Detector, Diagnosis
from gradcube.diagnosis.findings import Evidence, Finding, Subject, finding_id, from_record, to_record
from gradcube.diagnosis.frames import StepAssembler, StepFrame
from gradcube.diagnosis.straggler import StragglerDetector, StragglerSettings

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
    "finding_id",
    "from_record",
    "to_record",
]
