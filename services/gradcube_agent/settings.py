"""GRADCUBE_AGENT_*: what the node's agent can be told."""

import socket

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gradcube.settings import ServiceSettings


class AgentSettings(ServiceSettings):
    """`AgentSettings.load(coordinator_url="http://127.0.0.1:7080", interval_seconds=1)`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_AGENT_")

    node: str = Field(default_factory=socket.gethostname, min_length=1)
    """This machine's name, as the ranks on it give it to the coordinator."""
    coordinator_url: str | None = None
    """Who knows the ranks on this node; without it host and GPUs are sampled alone."""
    interval_seconds: float = Field(default=1, ge=0.05, le=3600)
