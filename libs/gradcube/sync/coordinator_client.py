"""The coordinator's HTTP routes as typed calls, with retries. Used by trainers, shards, the agent and the CLI."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential, wait_random

from gradcube.errors import CoordinatorError, LeaseRefused
from gradcube.sync.coordinator_models import (
    Assignment,
    Heartbeat,
    HeartbeatAnswer,
    JobRequest,
    JobView,
    JoinRequest,
    MemberAddress,
    Membership,
    ServerAnswer,
    ServerHeartbeat,
    ServerLease,
    ServerRequest,
)

Answer = TypeVar("Answer", bound=BaseModel)


class LeaseGone(CoordinatorError):
    """The coordinator does not know the lease (it ran out) or the job (it restarted): join again."""


class Unanswered(CoordinatorError):
    """No connection, a time-out or a 5xx: trying again can help."""


class CoordinatorClient:
    """Calls the coordinator at `url`; what it did not answer is tried again for `retry_seconds`.

    Every call raises CoordinatorError (no answer, or refused), LeaseRefused for 409, LeaseGone for 404 and 410.
    It may be shared by threads. `with CoordinatorClient("http://127.0.0.1:8080") as coordinator: ...`
    """

    def __init__(self, url: str, *, timeout_seconds: float = 5, retry_seconds: float = 30) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url, timeout=timeout_seconds)
        self._retry_seconds = retry_seconds

    def create_job(self, request: JobRequest) -> JobView:
        """Makes the job, joins it when it is described the same, or starts its next attempt when it has ended."""
        return self._call(JobView, "POST", "/v1/jobs", request)

    def jobs(self) -> list[JobView]:
        """All jobs."""
        return TypeAdapter(list[JobView]).validate_python(self._send("GET", "/v1/jobs"))

    def job(self, job: str) -> JobView:
        """One job."""
        return self._call(JobView, "GET", _path(job))

    def join(self, job: str, *, node: str, pid: int, rank: int | None = None, epoch: int = 0) -> Membership:
        """A lease on `rank`, or on the lowest free one. A returning worker passes the last epoch it knew."""
        request = JoinRequest(rank=rank, node=node, pid=pid, epoch=epoch)
        return self._call(Membership, "POST", _path(job, "members"), request)

    def heartbeat(self, job: str, lease_id: str, *, step: int) -> HeartbeatAnswer:
        """Renews a worker's lease."""
        return self._call(HeartbeatAnswer, "PUT", _path(job, "members", lease_id), Heartbeat(step=step))

    def leave(self, job: str, lease_id: str, *, finished: bool) -> None:
        """Gives the lease back; `finished` when training is complete."""
        self._send("DELETE", _path(job, "members", lease_id), params={"finished": str(finished).lower()})

    def assignment(self, job: str) -> Assignment:
        """Who trains now, and where the shards are."""
        return self._call(Assignment, "GET", _path(job, "assignment"))

    def register_server(self, job: str, request: ServerRequest) -> ServerLease:
        """A lease on a shard. The job need not exist yet."""
        return self._call(ServerLease, "POST", _path(job, "servers"), request)

    def server_heartbeat(self, job: str, lease_id: str, beat: ServerHeartbeat) -> ServerAnswer:
        """Renews a shard's lease."""
        return self._call(ServerAnswer, "PUT", _path(job, "servers", lease_id), beat)

    def leave_server(self, job: str, lease_id: str) -> None:
        """Gives a shard's lease back."""
        self._send("DELETE", _path(job, "servers", lease_id))

    def members(self, node: str | None = None) -> list[MemberAddress]:
        """The live workers of all jobs, or of those on `node`."""
        params = {} if node is None else {"node": node}
        return TypeAdapter(list[MemberAddress]).validate_python(self._send("GET", "/v1/members", params=params))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, kind: type[Answer], method: str, path: str, body: BaseModel | None = None) -> Answer:
        try:
            return kind.model_validate(self._send(method, path, body=body))
        except ValidationError as error:
            raise CoordinatorError(
                f"{self._url}{path} did not answer as gradcube's coordinator does: {error}"
            ) from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        retrying = Retrying(
            retry=retry_if_exception_type(Unanswered),
            stop=stop_after_delay(self._retry_seconds),
            wait=wait_exponential(multiplier=0.1, max=1) + wait_random(0, 0.1),
            reraise=True,
        )
        return retrying(self._send_once, method, path, body, params)

    def _send_once(self, method: str, path: str, body: BaseModel | None, params: Mapping[str, str] | None) -> Any:
        content = None if body is None else body.model_dump(mode="json")
        try:
            response = self._http.request(method, path, json=content, params=params)
        except httpx.HTTPError as error:
            raise Unanswered(f"coordinator {self._url} did not answer: {error!r}; is it running?") from error
        if response.status_code >= 400:
            raise _error(response, self._url)
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise CoordinatorError(f"{self._url}{path} answered something that is not JSON") from error


def _path(job: str, *parts: str) -> str:
    return "/v1/jobs/" + "/".join(quote(part, safe="") for part in (job, *parts))


def _error(response: httpx.Response, url: str) -> CoordinatorError:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = response.text[:500]
    kinds = {409: LeaseRefused, 404: LeaseGone, 410: LeaseGone}
    kind = Unanswered if response.status_code >= 500 else kinds.get(response.status_code, CoordinatorError)
    return kind(f"coordinator {url} answered {response.status_code}: {detail}")
