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


def require_free(port: int, what: str) -> None:
    """Raises ConfigError naming the process that has the port, if the system tells."""
    if not is_free(port):
        raise ConfigError(f"{what} port 127.0.0.1:{port} is taken{port_owner(port)}; stop it or set another port")


def port_owner(port: int) -> str:
    """` by pid 12 (java)`, or nothing when the owner cannot be seen (another user's process)."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        if connection.laddr and connection.laddr.port == port and connection.pid:
            try:
                return f" by pid {connection.pid} ({psutil.Process(connection.pid).name()})"
            except psutil.Error:
                return f" by pid {connection.pid}"
    return ""
