"""`gradcube doctor`: what could be wrong here, checked, each with the way to mend it."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable

import typer

from gradcube.bus.lag import group_lag
from gradcube.bus.topics import check_topics, load_topics
from gradcube.cli import output
from gradcube.cli.check import Check
from gradcube.cli.gateway_checks import cubes, gateway, secrets, walls
from gradcube.cli.stack import BROKER_PORT, GATEWAY_PORT
from gradcube.cli.topics import kafka
from gradcube.errors import GradcubeError
from gradcube.events.registry import load_registry
from gradcube.ports import owner_of

MAX_LAG_RECORDS = 50_000
MAX_CLOCK_SECONDS = 2.0


def doctor(json: bool = typer.Option(False, "--json", help="for programs")) -> None:
    """Check Java, ports, broker, schemas, clock, lag and gateway; exit code 1 when something is wrong."""
    checks: tuple[Callable[[], Check], ...] = (
        java,
        maven,
        schemas,
        broker_port,
        gateway_port,
        broker,
        clock,
        lag,
        gateway,
        cubes,
        walls,
        secrets,
    )
    results = [check() for check in checks]
    if json:
        output.print_json([vars(result) for result in results])
    else:
        marks = {True: "ok", False: "WRONG", None: "-"}
        output.out.print(
            output.table(
                ["check", "", "found", "how to mend"],
                [(r.name, marks[r.ok], r.found, r.mend) for r in results],
            )
        )
    if any(result.ok is False for result in results):
        raise typer.Exit(1)


def java() -> Check:
    """The broker needs Java 17 or newer."""
    mend = "install a JDK 17 or newer, e.g. apt-get install openjdk-17-jdk-headless"
    if shutil.which("java") is None:
        return Check("java", False, "not found", mend)
    answer = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', answer)
    major = int(match.group(1)) if match else 0
    return Check("java", major >= 17, f"Java {major}", "" if major >= 17 else mend)


def maven() -> Check:
    """Fetching the broker's jars needs Maven, once."""
    found = shutil.which("mvn")
    return Check("maven", found is not None, found or "not found", "" if found else "apt-get install maven")


def schemas() -> Check:
    """Every schema has the fingerprint that the index says."""
    try:
        return Check("schemas", True, f"{len(load_registry().all())} schemas, fingerprints as in the index")
    except GradcubeError as error:
        return Check(
            "schemas",
            False,
            str(error),
            "restore schemas/events, or add a new version instead of changing one",
        )


def broker_port() -> Check:
    """Who has the broker's usual port."""
    return _port("port of the broker", BROKER_PORT)


def gateway_port() -> Check:
    """Who has the gateway's usual port."""
    return _port("port of the gateway", GATEWAY_PORT)


def broker() -> Check:
    """Topics are there and have the declared shape."""
    try:
        check_topics(kafka(), load_topics())
    except GradcubeError as error:
        return Check(
            "broker",
            False,
            str(error),
            "gradcube up, or set GRADCUBE_KAFKA_BOOTSTRAP and run gradcube topics apply",
        )
    return Check("broker", True, f"{kafka().bootstrap}, topics as declared")


def clock() -> Check:
    """Event time is wall-clock time: it must not jump against the steady clock, and should be kept by NTP."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.2)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    ok = drift < MAX_CLOCK_SECONDS and time.gmtime().tm_year >= 2024
    synchronized = os.path.exists("/run/systemd/timesync/synchronized")
    found = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC{', synchronised' if synchronized else ''}"
    return Check("clock", ok, found, "" if ok else "set the clock and keep it with NTP (systemd-timesyncd, chrony)")


def lag() -> Check:
    """How far the metrics service is behind, as its consumer group's lag."""
    try:
        behind = group_lag(kafka(), "gradcube-metrics")
    except GradcubeError as error:
        return Check("lag", None, f"not known: {error}")
    ok = behind <= MAX_LAG_RECORDS
    mend = "is the metrics service running? add workers, up to the number of partitions"
    return Check("lag", ok, f"{behind} records behind", "" if ok else mend)


def _port(name: str, port: int) -> Check:
    owner = owner_of(port)
    return Check(name, True, f"{port} is {'free' if owner is None else f'taken by {owner}; another one is used'}")
