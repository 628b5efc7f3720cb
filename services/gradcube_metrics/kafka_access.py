"""The same Kafka settings in the three forms that Faust, its credentials and aiokafka's own clients take them."""

from ssl import SSLContext
from typing import Any

import faust
from aiokafka.helpers import create_ssl_context

from gradcube.bus.client import kafka_options
from gradcube.settings import KafkaSettings


def broker_url(settings: KafkaSettings) -> str:
    """Faust's form of the bootstrap servers: `kafka://a:9092;kafka://b:9092`."""
    return ";".join(f"kafka://{address}" for address in kafka_options(settings)["bootstrap_servers"])


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments of an aiokafka client. Raises ConfigError for a file that cannot be read."""
    options = kafka_options(settings)
    context = _context(options)
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        options.pop(name, None)
    return options if context is None else options | {"ssl_context": context}


def credentials(settings: KafkaSettings) -> Any:
    """Faust's broker_credentials, None without TLS and SASL."""
    options = kafka_options(settings)
    protocol, context = options["security_protocol"], _context(options)
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    mechanism = options["sasl_mechanism"]
    return faust.SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        ssl_context=context,
        mechanism=mechanism,
    )


def _context(options: dict[str, Any]) -> SSLContext | None:
    if not options["security_protocol"].endswith("SSL"):
        return None
    context: SSLContext = create_ssl_context(
        cafile=options.get("ssl_cafile"),
        certfile=options.get("ssl_certfile"),
        keyfile=options.get("ssl_keyfile"),
    )
    return context
