"""Event-time windows over numpy columns: rows of a job in, facts out. Pure: no I/O, no clock."""

from gradcube.windows.admission import Source
from gradcube.windows.intake import Added
from gradcube.windows.job_windows import JobWindows
from gradcube.windows.rows import EvaluationRows, ResourceRows, ServerRows, StepRows
from gradcube.windows.settings import Clipping, JobDescription, WindowSettings
from gradcube.windows.sketch import LogSketch
from gradcube.windows.watermark import Watermarks
from gradcube.windows.windowing import ClosedWindow

__all__ = [
    "Added",
    "Clipping",
    "ClosedWindow",
    "EvaluationRows",
    "JobDescription",
    "JobWindows",
    "LogSketch",
    "ResourceRows",
    "ServerRows",
    "Source",
    "StepRows",
    "Watermarks",
    "WindowSettings",
]
