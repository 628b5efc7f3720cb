"""Who may ask: HTTP Basic on every path of Kylin's API, and the one project."""

from collections.abc import Callable

from fastapi import Request

from gradcube_cube.gateway import Gateway
from gradcube_cube.kylin_errors import KylinError


def authentication(gateway: Gateway) -> Callable[[Request], None]:
    """A dependency that raises 401 unless the request carries the user and the password."""

    async def authenticate(request: Request) -> None:
        if not gateway.credentials.accept(request.headers.get("Authorization")):
            challenge = {"WWW-Authenticate": 'Basic realm="gradcube", charset="UTF-8"'}
            raise KylinError(401, "Wrong user name or password.", challenge)

    return authenticate  # type: ignore[return-value]


def check_project(gateway: Gateway, name: object) -> None:
    """Raises 400 in Kylin's words for a project that isn't ours."""
    if not isinstance(name, str) or name.upper() != gateway.settings.project.upper():
        raise KylinError(400, f"Cannot find project '{str(name)[:100]}'.")
