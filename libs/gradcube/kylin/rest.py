"""Kylin's REST API: JSON out of every answer, and out of every refusal one typed error that says what to do."""

import json
from collections.abc import Mapping
from typing import Any, Self

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from gradcube.errors import GradcubeError

MAX_ANSWER_BYTES = 64 << 20
_ASK_SECONDS = 60.0
_MESSAGE_CHARACTERS = 300


class KylinError(GradcubeError):
    """Kylin said no, or nothing that can be understood. `words` are its own, without ours around them."""

    exit_code = 69

    def __init__(self, message: str, words: str = "") -> None:
        super().__init__(message)
        self.words = words


class KylinAbsent(KylinError):
    """Nobody answers, or too late; asking again may help."""


class KylinLate(KylinAbsent):
    """It took longer than it may."""


class KylinDenied(KylinError):
    """The account is not known, or may not."""

    exit_code = 77


class KylinMissing(KylinError):
    """There is no such project, table, model or cube, or no such path."""


class KylinConflict(KylinError):
    """It is there already, or in a state that does not allow it."""


class KylinRefused(KylinError):
    """What was sent is wrong: asking again gives the same answer."""

    exit_code = 65


# By the words of its message, since Kylin answers 500 to nearly everything.
_CONFLICTS = ("exists", "is duplicated", "only ready cube can be", "only disabled cube can be", "is already")
_MISSING = ("not found", "cannot find", "does not exist", "not exist")
_DENIED = ("access is denied", "no permission")
_ABSENT = ("timeout when call stream rpc", "lack of job lock", "connection refused", "no receivers")


class KylinRest:
    """`with KylinRest("http://127.0.0.1:7170", "ADMIN", password) as kylin: kylin.get("projects")`."""

    def __init__(self, url: str, user: str, password: str, retry_seconds: float = 60.0) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/kylin/api/", auth=(user, password), timeout=_ASK_SECONDS, trust_env=False,
            headers={"Accept": "application/json"},
        )  # fmt: skip
        self._retrying = Retrying(
            retry=retry_if_exception_type(KylinAbsent), stop=stop_after_delay(retry_seconds),
            wait=wait_random_exponential(multiplier=0.2, max=5), reraise=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **parameters: str | int) -> Any:
        """The answer. Raises KylinError; while nobody answers it asks again for `retry_seconds`."""
        return self._retrying(self.ask, "GET", path, parameters=parameters)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer. Raises KylinError. It is not asked again: whether it was done is for the caller to look at."""
        return self.ask("POST", path, body=body)

    def put(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """As `post`."""
        return self.ask("PUT", path, body=body or {})

    def delete(self, path: str) -> Any:
        """As `post`."""
        return self.ask("DELETE", path)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        timeout_seconds: float = _ASK_SECONDS,
    ) -> Any:
        """Asks once."""
        asked = f"{method} {path}"
        try:
            with self._http.stream(
                method, path, json=body, params=parameters, timeout=timeout_seconds
            ) as answer:  # fmt: skip
                content = _read(asked, answer)
        except httpx.TimeoutException as error:
            raise KylinLate(
                f"{asked}: no answer within {timeout_seconds:.0f} s; look at gradcube kylin status"
            ) from error
        except httpx.HTTPError as error:
            raise KylinAbsent(f"{asked}: {error}; start it with gradcube kylin up") from error
        if answer.is_success and not (isinstance(content, dict) and content.get("successful") is False):
            return content
        raise _error(asked, answer.status_code, _message(content) or answer.reason_phrase)


def _read(asked: str, answer: httpx.Response) -> Any:
    """The body's JSON; None for nothing and for a page of HTML, which Kylin sends with 401, 403 and 404."""
    body = bytearray()
    for part in answer.iter_bytes():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise KylinError(f"{asked}: the answer has more than {MAX_ANSWER_BYTES} bytes; ask for less at once")
    try:
        return json.loads(body) if body else None
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None


def _message(content: Any) -> str:
    """Never the stack trace that comes with it."""
    found = (content.get(name) for name in ("msg", "message", "exception")) if isinstance(content, dict) else ()
    return next((str(one) for one in found if one), "")[:_MESSAGE_CHARACTERS]


def _error(asked: str, status: int, message: str) -> KylinError:
    said, words = f"{asked}: {status} {message}", message.lower()
    if status in (401, 403) or any(one in words for one in _DENIED):
        return KylinDenied(
            f"{said}; is the account's password file that of this Kylin, and has it a right on the project?",
            message,
        )
    if any(one in words for one in _ABSENT):
        return KylinAbsent(f"{said}; a server or receiver is starting or gone: gradcube kylin status", message)
    if status == 404 or any(one in words for one in _MISSING):
        return KylinMissing(f"{said}; deploy it first: gradcube cube deploy --target kylin", message)
    if any(one in words for one in _CONFLICTS):
        return KylinConflict(f"{said}; look at what is there: gradcube cube status --target kylin", message)
    if status < 500:
        return KylinRefused(f"{said}; the declaration asks for what Kylin has not: docs/kylin.md", message)
    return KylinError(f"{said}; the server's log says more: gradcube kylin status names its folder", message)
