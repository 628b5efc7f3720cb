"""What can be set about windows, and what is known about a job: both arrive as arguments."""

from dataclasses import dataclass

MICROS = 1_000_000


@dataclass(frozen=True)
class WindowSettings:
    """Lengths of panes and windows: `WindowSettings(subject_window_seconds=10)`.

    ValueError unless the job's window is a whole number of panes, and the subjects' one of job windows.
    """

    pane_seconds: int = 10
    job_window_seconds: int = 10
    subject_window_seconds: int = 60
    clock_grace_seconds: float = 5
    """How far a pod's clock may be from the broker's before it is corrected."""

    def __post_init__(self) -> None:
        if self.pane_seconds <= 0 or self.job_window_seconds % self.pane_seconds:
            raise ValueError(
                f"job_window_seconds {self.job_window_seconds} must be a multiple of pane_seconds {self.pane_seconds}"
            )
        if self.job_window_seconds <= 0 or self.subject_window_seconds % self.job_window_seconds:
            raise ValueError(
                f"subject_window_seconds {self.subject_window_seconds} must be a multiple of "
                f"job_window_seconds {self.job_window_seconds}"
            )


@dataclass(frozen=True)
class Clipping:
    """Above which norm an attempt scales gradients down: the reduced one, or each worker its own; None for neither."""

    grad_norm: float | None = None
    """Held against `global_grad_norm`."""
    own_grad_norm: float | None = None
    """Held against `grad_norm`."""


@dataclass(frozen=True)
class JobDescription:
    """What a fact says about its job besides the name; from the last Lifecycle record, or empty."""

    job: str
    model: str = ""
    model_parameters: int = 0
    hardware: str = ""
    dataset: str = ""
