"""One HTTP conversation with a gateway: requests out, whole bodies of bounded size in, every failure a QueryError."""

import json
from typing import Any

import httpx

from gradcube.clients.address import Address
from gradcube.clients.kylin_json import read_error
from gradcube.clients.progress import Advance
from gradcube.errors import ConfigError, QueryError

MAX_ANSWER_BYTES = 2 * 2**30


class ServerUnavailable(QueryError):
    """Nobody answered, or not in time, or the server says that it is busy: the same question may work later."""

    exit_code = 69


class AccessDenied(QueryError):
    """The name and password, or the rights of this user, do not do."""

    exit_code = 77


class NotFound(QueryError):
    """The server has no such path."""


class Http:
    """Holds connections open between questions until `close()`; TLS is verified as the address says."""

    def __init__(self, address: Address) -> None:
        self._address = address
        try:
            self._client = httpx.Client(
                base_url=address.base_url,
                auth=httpx.BasicAuth(address.user, address.password),
                timeout=httpx.Timeout(address.timeout_seconds, connect=min(10.0, address.timeout_seconds)),
                verify=_trusted(address.verify),
                headers={"User-Agent": "gradcube-sql"},
            )
        except OSError as error:
            raise ConfigError(f"verify is {address.verify!r}, which holds no certificates: {error}") from error

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def get_json(self, path: str, **parameters: str) -> Any:
        """The body of a GET."""
        return _json(self.send("GET", path, params=parameters)[1])

    def post_json(self, path: str, body: dict[str, Any], advance: Advance | None = None) -> Any:
        """The body of a POST's answer."""
        return _json(self.send("POST", path, advance=advance, json=body)[1])

    def send(
        self, method: str, path: str, *, advance: Advance | None = None, **options: Any
    ) -> tuple[httpx.Headers, bytes]:
        """Headers and body of an answer of status 200; `advance` hears of the bytes as they arrive."""
        try:
            with self._client.stream(method, path, **options) as response:
                body = self._body(response, advance)
        except httpx.TimeoutException as error:
            seconds = self._address.timeout_seconds
            raise ServerUnavailable(f"{self._address.base_url} did not answer within {seconds:g} s.") from error
        except httpx.HTTPError as error:
            hint = "Is the gateway up?"
            raise ServerUnavailable(f"{self._address.base_url} did not answer: {error}.", hint=hint) from error
        if response.status_code != 200:
            raise _refusal(response, body)
        return response.headers, body

    def _body(self, response: httpx.Response, advance: Advance | None) -> bytes:
        total = int(response.headers.get("Content-Length") or 0) or None
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise QueryError(f"The answer is larger than {MAX_ANSWER_BYTES} bytes.", hint="Ask for less at once.")
            if advance is not None:
                advance(len(body), total)
        return bytes(body)


def _trusted(verify: bool | str) -> Any:
    import ssl

    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


def _refusal(response: httpx.Response, body: bytes) -> QueryError:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    error = read_error(response.status_code, content)
    kinds = {401: AccessDenied, 403: AccessDenied, 404: NotFound, 429: ServerUnavailable, 503: ServerUnavailable}
    kind = kinds.get(response.status_code)
    return error if kind is None else kind(str(error), position=error.position)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise QueryError("The answer is not JSON.", hint="Is this the address of a gateway or of Kylin?") from error
