"""Apache Kylin as a `Deployment`: each version of a cube is a streaming table, a model and a cube of its own there.

What a version was made of is kept as its model's description, which version readers see as the project's. So Kylin
itself holds all that there is to know, and a step that was interrupted is done again from what is found.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gradcube.cube.deploy.kylin_receivers import Receivers
from gradcube.cube.deploy.plan import DeployedVersion, Outcome, Step, shape_of
from gradcube.cube.model import Catalog, CubeModel
from gradcube.kylin import definitions
from gradcube.kylin.accounts import GATEWAY
from gradcube.kylin.definitions import Windows
from gradcube.kylin.rest import KylinConflict, KylinError, KylinMissing, KylinRest

NOTE = "gradcube"
"""The member of a description, of a project or a model, that is ours."""
_PAGE = 1000


@dataclass(frozen=True)
class Names:
    """What version `number` of a cube is called in Kylin."""

    cube: str
    number: int

    @property
    def table(self) -> str:
        """The table, which SQL names."""
        return f"{self.cube}_V{self.number}"

    @property
    def kylin_cube(self) -> str:
        """The cube."""
        return f"{self.cube.lower()}_v{self.number}"

    @property
    def model(self) -> str:
        """The model."""
        return f"{self.kylin_cube}_model"


class KylinDeployment:
    """`KylinDeployment(rest, catalog, "gradcube", "127.0.0.1:9092")`. Raises KylinError from every call."""

    def __init__(
        self,
        rest: KylinRest,
        catalog: Catalog,
        project: str,
        bootstrap: str,
        windows: Windows | None = None,
        replicas: int = 1,
    ) -> None:
        self._rest, self._catalog, self._project, self._bootstrap = rest, catalog, project, bootstrap
        self._windows, self._receivers = windows or Windows(), Receivers(rest, replicas)

    def deployed(self) -> Sequence[DeployedVersion]:
        """From the models of the project; none where there is no project.

        A version whose making was interrupted is not deployed, so that it is made whole, unless nobody wants it now.
        """
        serving, ready = self._serving(), self._ready()
        return [
            self._version(names, shape, serving, names.kylin_cube in ready)
            for names, shape in self._models()
            if names.kylin_cube in ready or not self._is_declared(names.cube, shape)
        ]

    def why_not(self, model: CubeModel) -> str | None:
        """It reads flat JSON, all of it, or Avro, and keeps every row."""
        return definitions.why_not(model)

    def apply(self, step: Step) -> Outcome:
        """`create` makes what is missing of a version, and has its receivers read; `fill` waits for them."""
        if step.number is not None:
            return self._remove(step, Names(step.cube, step.number))
        if step.action == "create":
            self._create(step.cube)
            return Outcome(step)
        newest = max((one for one in self.deployed() if one.cube == step.cube), key=lambda one: one.number)
        if not newest.serving and newest.missing:
            return Outcome(step, f"{newest.missing:,} records that the receivers read; then deploy again")
        if step.action == "switch":
            self._serve(step.cube, newest.number)
        return Outcome(step)

    def _create(self, cube: str) -> None:
        model = self._catalog.cubes[cube]
        names = Names(cube, self._number(cube))
        note = json.dumps({NOTE: {"cube": cube, "number": names.number, "shape": shape_of(model)}})
        table, stream = definitions.table(model, names.table), self._stream(cube, names)
        self._make("projects", {"projectDescData": json.dumps(_project(self._project, {}))})
        self._let_the_gateway_read()
        self._make("streaming_v2", self._of_project(tableData=table, streamingConfig=stream))
        described = definitions.data_model(model, names.table, names.model, note)
        self._make("models", self._of_project(modelDescData=described, modelName=names.model))
        made = definitions.cube(model, names.table, names.model, names.kylin_cube, self._windows)
        self._make("cubes", self._of_project(cubeDescData=made, cubeName=names.kylin_cube))
        self._receivers.assign()
        if names.kylin_cube not in self._ready():
            self._receivers.start_reading(names.kylin_cube)
        if cube not in self._serving():
            self._serve(cube, names.number)

    def _stream(self, cube: str, names: Names) -> dict[str, Any]:
        return definitions.stream(self._catalog.cubes[cube], names.table, self._project, self._bootstrap)

    def _number(self, cube: str) -> int:
        """That of a version as declared whose making was interrupted, else a new one."""
        known = {names.number: shape for names, shape in self._models() if names.cube == cube}
        same = [number for number, shape in known.items() if self._is_declared(cube, shape)]
        return max(same, default=max(known, default=0) + 1)

    def _make(self, path: str, body: Mapping[str, Any]) -> None:
        with suppress(KylinConflict):  # it was made before
            self._rest.post(path, body)

    def _let_the_gateway_read(self) -> None:
        """The one right that it has; who may see what of the answers is the gateway's to say."""
        path = f"access/ProjectInstance/{(self._found() or {})['uuid']}"
        known = {entry["sid"].get("principal") for entry in self._rest.get(path)}
        if GATEWAY not in known:
            self._rest.post(path, {"sid": GATEWAY, "principal": True, "permission": "READ"})

    def _of_project(self, **parts: Any) -> dict[str, Any]:
        """Kylin wants JSON as text within JSON."""
        texts = {name: part if isinstance(part, str) else json.dumps(part) for name, part in parts.items()}
        return {"project": self._project, **texts}

    def _remove(self, step: Step, names: Names) -> Outcome:
        """Disabled first: Kylin lets an enabled cube go and keeps its rows, which a new one of that name would show."""
        serving = self._serving()
        if serving.get(names.cube) == names.number:
            if step.action == "retire":
                return Outcome(step, "the switch: readers still see that version")
            self._serve(names.cube, None)
        if names.kylin_cube in self._ready():
            self._rest.put(f"cubes/{names.kylin_cube}/disable")
        self._gone(f"cubes/{names.kylin_cube}")
        self._gone(f"tables/{definitions.SCHEMA}.{names.table}/{self._project}", after=f"models/{names.model}")
        return Outcome(step)

    def _gone(self, path: str, after: str | None = None) -> None:
        for one in filter(None, (after, path)):
            with suppress(KylinMissing):
                self._rest.delete(one)

    def _found(self) -> Mapping[str, Any] | None:
        projects = self._rest.get("projects", pageOffset=0, pageSize=_PAGE)
        return next((one for one in projects if one["name"].upper() == self._project.upper()), None)

    def _models(self) -> Iterator[tuple[Names, Any]]:
        if self._found() is None:
            return
        for one in self._rest.get("models", projectName=self._project, pageOffset=0, pageSize=_PAGE):
            with suppress(ValueError, KeyError, TypeError):  # a model that is none of ours
                note = json.loads(one["description"])[NOTE]
                yield Names(note["cube"], note["number"]), note["shape"]

    def _is_declared(self, cube: str, shape: Any) -> bool:
        model = self._catalog.cubes.get(cube)
        return model is not None and shape == shape_of(model)

    def _version(self, names: Names, shape: Any, serving: Mapping[str, int], ready: bool) -> DeployedVersion:
        seen = serving.get(names.cube) == names.number
        rows = self._rows(names) if ready else 0
        missing = self._receivers.missing(names.kylin_cube) if ready and not seen else 0
        return DeployedVersion(names.cube, names.number, shape, seen, rows, missing)

    def _rows(self, names: Names) -> int:
        """0 of a version that cannot be asked yet."""
        sql = f"select count(*) from {names.table}"  # noqa: S608 - the name of a cube
        try:
            answer = self._rest.post("query", {"sql": sql, "project": self._project, "limit": 1})
        except KylinError:
            return 0
        return int(answer["results"][0][0]) if answer["results"] else 0

    def _ready(self) -> frozenset[str]:
        """The cubes that answer; empty where there is no project."""
        if self._found() is None:
            return frozenset()
        found = self._rest.get("cubes", projectName=self._project, pageOffset=0, pageSize=_PAGE, limit=_PAGE, offset=0)
        return frozenset(one["name"] for one in found if one["status"] == "READY")

    def _serving(self) -> dict[str, int]:
        found = self._found()
        try:
            return {str(cube): int(number) for cube, number in json.loads((found or {})["description"])[NOTE].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _serve(self, cube: str, number: int | None) -> None:
        serving = {name: one for name, one in self._serving().items() if name != cube}
        if number is not None:
            serving[cube] = number
        described = {**(self._found() or {}), **_project(self._project, serving)}
        body = {"formerProjectName": self._project, "projectDescData": json.dumps(described)}
        self._rest.put("projects", body)


def _project(name: str, serving: Mapping[str, int]) -> dict[str, Any]:
    return {"name": name, "description": json.dumps({NOTE: serving}), "override_kylin_properties": {}}
