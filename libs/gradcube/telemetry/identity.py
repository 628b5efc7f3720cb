"""Who a rank is: arguments first, then what launchers put into the environment, then the machine's name."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from gradcube.errors import ConfigError

JOB_VARIABLES = ("GRADCUBE_JOB",)
NODE_VARIABLES = ("GRADCUBE_NODE", "NODE_NAME")
RANK_VARIABLES = ("GRADCUBE_RANK", "RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "JOB_COMPLETION_INDEX")
WORLD_SIZE_VARIABLES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
ATTEMPT_VARIABLES = ("GRADCUBE_ATTEMPT", "TORCHELASTIC_RESTART_COUNT")


@dataclass(frozen=True)
class RankIdentity:
    """The rank in its job: what every record of a monitor carries."""

    job: str
    attempt: int
    rank: int
    node: str
    stage: int = 0
    replica: int = 0

    @property
    def key(self) -> bytes:
        """Key of the records in Kafka: job/rank."""
        return f"{self.job}/{self.rank}".encode()


def identify(
    environment: Mapping[str, str],
    *,
    job: str | None = None,
    attempt: int | None = None,
    rank: int | None = None,
    node: str | None = None,
    stage: int = 0,
    replica: int = 0,
) -> RankIdentity:
    """Fills in what is not given. Raises ConfigError when the job has no name or a number is none."""
    name = job or _first(environment, JOB_VARIABLES)
    if not name:
        raise ConfigError("the job has no name; give Monitor(..., job='name') or set GRADCUBE_JOB")
    return RankIdentity(
        job=name,
        attempt=_number(environment, ATTEMPT_VARIABLES) if attempt is None else attempt,
        rank=_number(environment, RANK_VARIABLES) if rank is None else rank,
        node=node or _first(environment, NODE_VARIABLES) or socket.gethostname(),
        stage=stage,
        replica=replica,
    )


def world_size(environment: Mapping[str, str]) -> int:
    """How many ranks the launcher started, 1 where it does not say. Raises ConfigError when that is no number."""
    return max(_number(environment, WORLD_SIZE_VARIABLES), 1)


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)


def _number(environment: Mapping[str, str], names: tuple[str, ...]) -> int:
    name = next((name for name in names if environment.get(name)), None)
    if name is None:
        return 0
    text = environment[name]
    if not text.isdecimal():
        raise ConfigError(f"{name} is {text!r}; it must be a whole number from 0")
    return int(text)
