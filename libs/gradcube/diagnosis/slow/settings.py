"""The thresholds of the straggler detector, with where each comes from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StragglerSettings:
    """How sure to be, in units of the job's own noise, and how much slower is worth a sentence.

    `slack` 0.75 and `open_at` 9.2 give Page's CUSUM one false alarm in about 10^6 unit-steps of Gaussian noise
    (exp(2 x slack x open_at), a likelihood ratio of 10^6). A step counts for at most `open_at` over the least number
    of steps that an alarm may rest on (2 for ranks and groups, `job_steps` for the whole job), and for less where
    the history has seen such steps before: see `History.cap`.
    """

    warmup_steps: int = 5
    """Steps of an attempt that are left out: compilation and cold caches."""
    baseline_steps: int = 8
    """Steps after those that say what is usual before anything is judged; what is uncertain then is in `youth`."""
    settled_steps: int = 32
    """Healthy steps after which a constant difference is reported, once."""
    slack: float = 0.75
    youth: float = 2.0
    """A level known from n steps is off by up to about `youth` / sqrt(n) sigma; the slack grows by so much."""
    open_at: float = 9.2
    close_at: float = 4.0
    """Steps, at the least, that a subject must be back to normal before its episode ends."""
    job_steps: int = 6
    """The whole job has no peers, and pauses of its own: healthy runs of 256-8 192 GPUs have up to three slow steps
    in a row, and drift by 1-2 % within hours. Three do where they are steady: see `Family.new_level_steps`."""
    min_ratio: float = 1.03
    """The least slow-down worth a sentence. Simulated jobs of 1 % noise and 11.7 % shared: 1.05x is named in all of 16
    runs with 1.03, in 15 with 1.04; no false alarm in 96 000 healthy rank-steps with either."""
    max_level_ratio: float = 1.10
    """A rank that is slower than its peers from the first step is as it is below this, a straggler above."""
    min_noise: float = 0.005
    """The floor of the noise: what good traces have (0.4-1 %)."""
    update_steps: int = 50
    absent_steps: int = 50
