"""GRADCUBE_AGENT_*: what the node's agent can be told."""

import socket

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from gradcube.errors import ConfigError
from gradcube.settings import ServiceSettings
from gradcube_agent.targets import Target, parse_targets


class AgentSettings(ServiceSettings):
    """`AgentSettings.load(coordinator_url="http://127.0.0.1:7080", interval_seconds=1)`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_AGENT_")

    node: str = Field(default_factory=socket.gethostname, min_length=1)
    """This machine's name, as the ranks on it give it to the coordinator."""
    coordinator_url: str | None = None
    """Who knows the ranks on this node; without it host and GPUs are sampled alone."""
    interval_seconds: float = Field(default=1, ge=0.05, le=3600)
    probes: str = ""
    """What to reach besides the brokers, such as `server=ps-0:7100,store=/checkpoints,gateway=cube:7070`.

    A store is a folder, in which a small file is written and synced, or an address, as all others are. The parameter
    servers of the jobs whose ranks run here are known from the coordinator where there is one.
    """
    probe_seconds: float = Field(default=10, ge=0.05, le=3600)
    """From the end of one round of probes to the next."""
    probe_timeout_seconds: float = Field(default=2, ge=0.01, le=60)
    """What takes longer is not reached."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """`probes`, read."""
        return parse_targets(self.probes)

    @field_validator("probes")
    @classmethod
    def _readable(cls, probes: str) -> str:
        try:
            parse_targets(probes)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return probes
