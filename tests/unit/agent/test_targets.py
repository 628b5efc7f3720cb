"""What the agent can be told to reach, and what it refuses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcube.errors import ConfigError
from gradcube_agent.settings import AgentSettings
from gradcube_agent.targets import MAX_TARGETS, Address, Target, brokers, parse_targets


def test_addresses_and_folders_are_read() -> None:
    assert parse_targets("server=ps-0:7100, server=[::1]:7101,store=/a b/c,d,store=nas:2049,gateway=cube:7070") == (
        Target("server", "ps-0:7100", Address("ps-0", 7100)),
        Target("server", "[::1]:7101", Address("::1", 7101)),
        Target("store", "/a b/c,d", Path("/a b/c,d")),
        Target("store", "nas:2049", Address("nas", 2049)),
        Target("gateway", "cube:7070", Address("cube", 7070)),
    )
    assert parse_targets(" ") == ()


def test_brokers_are_those_of_the_bootstrap_addresses() -> None:
    assert [target.place for target in brokers("a:9093, b,[::1]:9094")] == [
        Address("a", 9093),
        Address("b", 9092),
        Address("::1", 9094),
    ]


def test_bootstrap_addresses_that_cannot_be_read_are_told_by_the_name_of_the_setting() -> None:
    with pytest.raises(ConfigError, match="GRADCUBE_KAFKA_BOOTSTRAP: 'a:b' is no host:port"):
        brokers("c:1,a:b")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("server", "'server' is no probe"),
        ("cube:7070", "'cube:7070' is no probe"),
        ("sever=a:1", "'sever=a:1' is no probe"),
        ("store=", "'store=' is no probe"),
        ("server=a", "'a' is no host:port"),
        ("server=a:b", "'a:b' is no host:port"),
        ("server=a:0", "'a:0' is no host:port"),
        ("server=a:65536", "'a:65536' is no host:port"),
        ("gateway=http://a:1", "'http://a:1' is no host:port"),
        ("gateway=/folder", "'/folder' is no host:port"),
        ("store=folder", "'folder' is no host:port"),
        ("server=a:1,oops", "'a:1,oops' is no host:port"),
        ("server=::1:7", "'::1:7' is no host:port"),
        (",".join(f"server=a:{port}" for port in range(1, MAX_TARGETS + 2)), f"more than the {MAX_TARGETS}"),
    ],
)
def test_a_malformed_probe_is_refused_by_the_settings_and_quoted(text: str, quoted: str) -> None:
    with pytest.raises(ConfigError, match="GRADCUBE_AGENT_PROBES") as refused:
        AgentSettings.load(probes=text)
    assert quoted in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        targets = parse_targets(text)
    except ConfigError:
        return
    assert all(isinstance(target.place, Path | Address) for target in targets)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADCUBE_AGENT_PROBES", "store=/checkpoints")
    monkeypatch.setenv("GRADCUBE_AGENT_PROBE_TIMEOUT_SECONDS", "0.5")
    settings = AgentSettings.load()
    assert settings.targets == (Target("store", "/checkpoints", Path("/checkpoints")),)
    assert settings.probe_timeout_seconds == 0.5
