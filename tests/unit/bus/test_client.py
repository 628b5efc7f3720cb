"""Address, TLS and SASL go from settings and files into any kafka-python client."""

import gc
import logging
import threading
from pathlib import Path

import kafka.errors
import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from gradcube.bus.client import bus_errors, connect, kafka_options, quiet_client_log
from gradcube.errors import BrokerUnavailable, BusError, ConfigError
from gradcube.ports import free_port
from gradcube.settings import KafkaSettings


def test_plain_settings_give_addresses_and_nothing_secret() -> None:
    options = kafka_options(KafkaSettings(bootstrap="one:9092, two:9093"))
    assert options == {"bootstrap_servers": ["one:9092", "two:9093"], "security_protocol": "PLAINTEXT"}


def test_tls_and_sasl_come_from_files(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("pem")
    (tmp_path / "password").write_text("pass word \n")
    options = kafka_options(
        KafkaSettings(
            bootstrap="kafka:9094",
            security_protocol="SASL_SSL",
            ssl_cafile=tmp_path / "ca.pem",
            ssl_certfile=tmp_path / "cert.pem",
            ssl_keyfile=tmp_path / "key.pem",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="gradcube",
            sasl_password_file=tmp_path / "password",
        )
    )
    assert options == {
        "bootstrap_servers": ["kafka:9094"],
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(tmp_path / "ca.pem"),
        "ssl_certfile": str(tmp_path / "cert.pem"),
        "ssl_keyfile": str(tmp_path / "key.pem"),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "gradcube",
        "sasl_plain_password": "pass word ",
    }


def test_missing_file_is_named_with_its_variable(tmp_path: Path) -> None:
    settings = KafkaSettings(security_protocol="SSL", ssl_cafile=tmp_path / "absent.pem")
    with pytest.raises(ConfigError, match=r"GRADCUBE_KAFKA_SSL_CAFILE: .*absent.pem .*No such file"):
        kafka_options(settings)


@pytest.mark.parametrize("missing", ["sasl_mechanism", "sasl_username", "sasl_password_file"])
def test_incomplete_sasl_says_what_to_set(missing: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    given = {
        "sasl_mechanism": "PLAIN",
        "sasl_username": "me",
        "sasl_password_file": tmp_path / "password",
        missing: None,
    }
    with pytest.raises(ConfigError, match=f"GRADCUBE_KAFKA_{missing.upper()}"):
        kafka_options(KafkaSettings(security_protocol="SASL_PLAINTEXT", **given))


def test_silence_and_refusal_are_different_errors() -> None:
    settings = KafkaSettings(bootstrap="nowhere:1")
    with pytest.raises(BrokerUnavailable, match="nowhere:1"), bus_errors(settings):
        raise kafka.errors.KafkaTimeoutError
    with pytest.raises(BusError, match="refused") as refusal, bus_errors(settings):
        raise kafka.errors.TopicAuthorizationFailedError("steps")
    assert not isinstance(refusal.value, BrokerUnavailable)


def test_log_level_set_by_the_program_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("kafka")
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    quiet_client_log()
    assert logger.level == logging.CRITICAL
    logger.setLevel(logging.DEBUG)
    quiet_client_log()
    assert logger.level == logging.DEBUG


@pytest.mark.parametrize("kind", [KafkaProducer, KafkaConsumer, KafkaAdminClient])
def test_client_that_finds_no_broker_leaves_no_socket_and_no_thread(kind: type) -> None:
    settings = KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}")
    before = (psutil.Process().num_fds(), threading.active_count())
    gc.disable()  # the collector must not do the work that is tested
    try:
        with pytest.raises(kafka.errors.KafkaTimeoutError):
            connect(kind, settings, bootstrap_timeout_ms=300)
        assert (psutil.Process().num_fds(), threading.active_count()) == before
    finally:
        gc.enable()
