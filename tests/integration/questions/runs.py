"""The fleet of docs/questions.md: seven runs of two days, each with what went wrong in it. Nothing here is random."""

from dataclasses import dataclass, field

DAY_MICROS = 1_795_392_000_000_000  # 2026-11-23 00:00:00 UTC
H100, A100 = "8 x NVIDIA H100 80GB HBM3", "8 x NVIDIA A100 SXM4 80GB"
PARAMETERS = {"gpt-1b": 1_100_000_000, "gpt-125m": 125_000_000}
TOKENS = {"gpt-1b": 32_768, "gpt-125m": 262_144}
"""Of one rank and step."""
COMPUTE_SECONDS = {
    ("gpt-1b", H100): 0.52, ("gpt-1b", A100): 1.42, ("gpt-125m", H100): 0.48, ("gpt-125m", A100): 1.27,
}  # fmt: skip


@dataclass(frozen=True)
class Slow:
    """`ranks` take `ratio` times as long to compute, or to load data, from step `start` to `end` (exclusive)."""

    ranks: tuple[int, ...]
    ratio: float
    start: int
    end: int
    what: str = "compute"


@dataclass(frozen=True)
class Run:
    """One attempt of a job: eight ranks on two `nodes`, steps `first` to `last` (exclusive).

    `spike_at`: the loss leaves its course there for a dozen steps. `throttled`: the local GPU of which node, and the
    steps in which it is too hot. `quality` is the accuracy it comes to.
    `finished` is False for one that still runs, or died without a word.
    """

    job: str
    model: str
    hardware: str
    dataset: str
    nodes: tuple[str, str]
    starts_after_hours: float
    last: int
    first: int = 0
    attempt: int = 0
    slow: tuple[Slow, ...] = ()
    spike_at: int | None = None
    throttled: tuple[int, int, int] | None = None
    quality: float = 0.70
    finished: bool = True
    ranks: tuple[int, ...] = field(default=tuple(range(8)))

    @property
    def start_micros(self) -> int:
        """When its first step began."""
        return DAY_MICROS + round(self.starts_after_hours * 3_600_000_000)

    def node_of(self, rank: int) -> str:
        """The first four ranks are on the first node."""
        return self.nodes[rank // 4]


RUNS = (
    Run("gpt-1b-web", "gpt-1b", H100, "web", ("node-a", "node-b"), 9.0, 420, quality=0.74,
        slow=(Slow((5,), 1.5, 160, 300),)),
    Run("gpt-1b-code", "gpt-1b", A100, "code", ("node-c", "node-d"), 10.0, 300, quality=0.69, spike_at=190),
    Run("gpt-125m-web", "gpt-125m", H100, "web", ("node-a", "node-b"), 14.0, 240, quality=0.58,
        finished=False),
    Run("gpt-125m-web", "gpt-125m", H100, "web", ("node-a", "node-b"), 14.06, 480, first=200, attempt=1, quality=0.61,
        slow=(Slow((6,), 1.35, 330, 420),)),
    Run("gpt-125m-wiki", "gpt-125m", A100, "wiki", ("node-c", "node-d"), 15.0, 260, quality=0.57,
        slow=(Slow(tuple(range(8)), 12.0, 120, 170, "data"),)),
    Run("gpt-1b-wiki", "gpt-1b", H100, "wiki", ("node-e", "node-b"), 33.0, 420, quality=0.76,
        slow=(Slow((4,), 1.6, 200, 320),)),
    Run("gpt-125m-code", "gpt-125m", A100, "code", ("node-c", "node-f"), 34.0, 240, quality=0.54, finished=False,
        throttled=(7, 110, 190), slow=(Slow((7,), 1.25, 110, 190),)),
)  # fmt: skip
