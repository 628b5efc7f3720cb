"""Event-time windows over numpy columns: rows of a job in, facts out. Pure: no I/O, no clock."""

from gradcube.windows.admission import Source
from gradcube.windows.job_windows import Added, ClosedWindow, JobWindows
from gradcube.windows.rows import ResourceRows, ServerRows, StepRows
from gradcube.windows.settings import JobDescription, WindowSettings
from gradcube.windows.sketch import LogSketch
from gradcube.windows.watermark import Watermarks

__all__ = [
    "Added",
    "ClosedWindow",
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
