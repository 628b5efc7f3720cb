"""Where a request becomes somebody: password or token, role, grants, and how often he may ask."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from gradcube.security.policy import Principal
from gradcube.security.roles import Role, check_route
from gradcube.security.users import Users
from gradcube_cube.kylin_errors import KylinError

if TYPE_CHECKING:
    from gradcube_cube.gateway import Gateway


@dataclass(frozen=True)
class Asker:
    """Who asks from where; the principal is also what he sees of the store."""

    principal: Principal
    address: str

    @property
    def authorities(self) -> tuple[str, ...]:
        """His role in Kylin's words."""
        ranked = (("ROLE_ADMIN", Role.admin), ("ROLE_ANALYST", Role.analyst), ("ALL_USERS", Role.viewer))
        return tuple(name for name, role in ranked if self.principal.role >= role)


class Logins:
    """Who a header is, one request at a time for each header: a password that many connections send at once is hashed
    once, and counts as one try.
    """

    def __init__(self, users: Users) -> None:
        self._users = users
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def principal(self, header: str | None, address: str) -> Principal:
        """Raises NotAuthenticated, TooMany, ConfigError."""
        key = hashlib.blake2b(f"{address}\n{header}".encode("utf-8", "surrogatepass")).digest()
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            return await run_in_threadpool(self._users.authenticate, header, address)


def authentication(gateway: "Gateway") -> Callable[[Request], None]:
    """A dependency that raises AccessError unless who asks is known, may call this route and does not ask too often."""

    logins = Logins(gateway.users)

    async def authenticate(request: Request) -> None:
        address = request.client.host if request.client else ""
        principal = await logins.principal(request.headers.get("Authorization"), address)
        gateway.rates.take(principal.name)
        check_route(principal.role, request.method, request.url.path)
        request.state.asker = Asker(principal, address)

    return authenticate  # type: ignore[return-value]


def asker_of(request: Request) -> Asker:
    """Who was let in."""
    asker: Asker = request.state.asker
    return asker


def check_project(gateway: "Gateway", request: Request, name: object) -> None:
    """Raises 400 in Kylin's words for a project that isn't ours, or isn't his."""
    known = isinstance(name, str) and name.upper() == gateway.settings.project.upper()
    if not known or not asker_of(request).principal.may_enter(gateway.settings.project):
        raise KylinError(400, f"Cannot find project '{str(name)[:100]}'.")
