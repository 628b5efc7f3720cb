"""The checks of `gradcube doctor` on the local gateway: ready, its cubes, the walls around queries, its secrets."""

from pathlib import Path
from typing import Any

import httpx

from gradcube.cli import state
from gradcube.cli.check import Check
from gradcube.cli.state import LocalState
from gradcube.errors import ConfigError
from gradcube.security.secret_files import read_secret

MAX_LAG_RECORDS = 50_000
TIMEOUT_SECONDS = 2.0


def gateway() -> Check:
    """The gateway answers and is ready."""
    running = state.read()
    if running is None:
        return Check("gateway", None, "no local services")
    try:
        answer = httpx.get(f"http://{running.gateway}/ready", timeout=TIMEOUT_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return Check("gateway", False, type(error).__name__, _log_of(running))
    ok = answer.status_code == 200
    return Check("gateway", ok, answer.text[:200], "" if ok else _log_of(running))


def cubes() -> Check:
    """How many rows each cube has, and that none is far behind its topic."""
    running, told = gateway_status()
    if running is None or told is None:
        return Check("cubes", None, "no gateway answers")
    lags = {name: cube["lag"] or 0 for name, cube in told["cubes"].items()}
    behind = [f"{name} is {lag} records behind" for name, lag in lags.items() if lag > MAX_LAG_RECORDS]
    found = ", ".join(f"{name} {cube['rows']} rows" for name, cube in told["cubes"].items())
    return Check("cubes", not behind, "; ".join([found, *behind]), _log_of(running) if behind else "")


def walls() -> Check:
    """Which of the kernel's walls stand around the processes that run statements; docs/security.md says what for."""
    _, told = gateway_status()
    standing = (told or {}).get("queries", {}).get("walls", {})
    if not standing:
        return Check("walls", None, "no query process runs")
    missing = [f"{name} {text}" for name, text in standing.items() if not text.startswith("active")]
    mend = "a kernel with Landlock (5.13) and seccomp; the other walls hold without it" if missing else ""
    return Check("walls", None if missing else True, ", ".join(missing or standing), mend)


def secrets() -> Check:
    """Files with secrets of the local gateway can be read by their owner alone."""
    running = state.read()
    if running is None:
        return Check("secrets", None, "no local services")
    home = Path(running.home)
    files = [path for name in ("password", "users.json", "audit.key") if (path := home / name).exists()]
    for path in files:
        try:
            read_secret(path, "secret file")
        except ConfigError as error:
            return Check("secrets", False, str(error), f"chmod 600 {path}")
    return Check("secrets", True, f"{len(files)} files of mode 600")


def gateway_status() -> tuple[LocalState | None, dict[str, Any] | None]:
    """The local services, if they run, and what their gateway's /status tells, if it answers."""
    running = state.read()
    if running is None:
        return None, None
    try:
        answer = httpx.get(f"http://{running.gateway}/status", timeout=TIMEOUT_SECONDS, trust_env=False)
        return running, answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return running, None


def _log_of(running: LocalState) -> str:
    return f"see {running.home}/logs/cube.log"
