"""Free ports for servers that must come back on the same one, and whose a taken port is."""

import random
import socket

import psutil

from gradcube.errors import ConfigError

# Below Linux's range for outgoing connections (32768 and up), which could take the port while its server is down.
FIRST_PORT, LAST_PORT = 20000, 32000


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    for _ in range(1000):
        port = random.randint(FIRST_PORT, LAST_PORT)
        if is_free(port):
            return port
    raise ConfigError(f"no free port between {FIRST_PORT} and {LAST_PORT} on 127.0.0.1; stop some servers")


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_port(preferred: int = 0) -> int:
    """`preferred` when it is given and free, else any free port."""
    return preferred if preferred and is_free(preferred) else free_port()


def require_free(port: int, what: str) -> None:
    """Raises ConfigError naming the process that has the port, if the system tells."""
    if not is_free(port):
        owner = owner_of(port)
        by = f" by {owner}" if owner else ""
        raise ConfigError(f"{what} port 127.0.0.1:{port} is taken{by}; stop it or set another port")


def owner_of(port: int) -> str | None:
    """Who listens on `port`, as `java (pid 12)`; None when nobody does, or the system does not tell."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        local = connection.laddr
        if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                return f"pid {connection.pid}"
    return None
