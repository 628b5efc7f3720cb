"""Settings that every process shares, read once, in `__main__`, from GRADCUBE_* variables.

A service's own settings class derives from `ServiceSettings` with its own prefix. Secrets come from files.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gradcube.errors import ConfigError


class Settings(BaseSettings):
    """Base of all settings: immutable, unknown variables ignored, a wrong value is one clear `ConfigError`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_", frozen=True, extra="ignore")

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Reads the environment; `overrides` win. Raises ConfigError naming each variable that is wrong."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise ConfigError(_explain(cls, error)) from error


def _explain(cls: type[Settings], error: ValidationError) -> str:
    prefix = str(cls.model_config.get("env_prefix", ""))
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = prefix + "_".join(str(part) for part in problem["loc"]).upper()
        lines.append(f"{name}: {problem['msg']}")
    return "; ".join(lines)


class LogSettings(Settings):
    """How a process writes its log: `LogSettings.load(level="DEBUG")`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_LOG_")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["auto", "console", "json"] = "auto"


class KafkaSettings(Settings):
    """Where Kafka is and how to prove who we are: `KafkaSettings.load(bootstrap="kafka:9092")`."""

    model_config = SettingsConfigDict(env_prefix="GRADCUBE_KAFKA_")

    bootstrap: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password_file: Path | None = None


class ServiceSettings(Settings):
    """What every long-lived process has: an address for health, readiness and metrics."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """Port of the HTTP interface; 0 takes any free one."""
