"""Settings of the metrics service: its windows, its patience, its place in Kafka. GRADCUBE_METRICS_*."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gradcube.settings import ServiceSettings

GROUP = "gradcube-metrics"


class MetricsSettings(ServiceSettings):
    """How the metrics service computes: `MetricsSettings.load(port=7071)`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_METRICS_")

    pane_seconds: int = Field(default=10, gt=0)
    job_window_seconds: int = Field(default=10, gt=0)
    subject_window_seconds: int = Field(default=60, gt=0)
    grace_seconds: float = Field(default=5, ge=0)
    """How much later than its peers a record may come and still count."""
    idle_seconds: float = Field(default=15, gt=0)
    """A source partition silent for this long holds no window open; a job is first listened to for as long.

    More than `session_seconds`: the partitions of a worker that was killed are silent until others have them.
    """
    diagnosis_idle_seconds: float = Field(default=45, gt=0)
    """For detectors, how long a silent partition holds back the steps that lack its ranks.

    Longer than for windows, which count what comes late: a step is looked at once, and a rank whose records only wait
    for another worker to take over (session, rebalance, reading back) must not be told as missing.
    """
    tick_seconds: float = Field(default=0.5, gt=0)
    """How often windows are looked at when nothing arrives."""
    lookback_seconds: float = Field(default=7500, gt=0)
    """How far back own output is read after a start; the retention of gradcube.partials and a margin."""
    diagnosis_lookback_seconds: float = Field(default=600, ge=0)
    """How far back detectors hear again, after a start, what they had heard: so much of their memory outlives it."""
    fetch_bytes: int = Field(default=1 << 20, ge=1 << 16)
    """Largest batch of one partition."""
    detectors: str = ""
    """Detectors of one's own: `module:Class`, with commas between. Those of installed packages need not be named."""
    detector_share: float = Field(default=0.25, gt=0)
    """A detector that takes more than this share of the time is switched off."""
    stuck_seconds: float = Field(default=120, gt=0)
    """/live fails when the event loop has not come round for this long."""
    session_seconds: float = Field(default=8, ge=6)
    """A worker not heard of for this long loses its partitions to the others."""
