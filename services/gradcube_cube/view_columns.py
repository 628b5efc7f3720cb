"""The columns of the declared views, as the engine says: each view is asked for no row, once."""

from dataclasses import replace
from threading import Lock
from uuid import uuid4

from gradcube.cube.kylin_types import KylinType
from gradcube.cube.model import Catalog, Column
from gradcube.cube.questions import Engine, Limits, OutputColumn, Question, SeesAll


class ViewColumns:
    """`of(name)` from any thread."""

    def __init__(self, catalog: Catalog, engine: Engine, timeout_seconds: float) -> None:
        self._catalog = catalog
        self._engine = engine
        self._limits = Limits(rows=1, timeout_seconds=timeout_seconds)
        self._lock = Lock()
        self._known: dict[str, tuple[Column, ...]] = {}

    def of(self, name: str) -> tuple[Column, ...]:
        """Raises QueryError while no query process can be started."""
        with self._lock:
            if name not in self._known:
                question = Question(f'SELECT * FROM "{name}" WHERE 1 = 0', limits=self._limits)  # noqa: S608 - declared
                answer = self._engine.prepare(question, SeesAll(), uuid4().hex).start().result()
                self._known[name] = tuple(map(self._column, answer.columns))
            return self._known[name]

    def _column(self, column: OutputColumn) -> Column:
        declared = None if column.source is None else self._catalog.cubes[column.source[0]].column(column.source[1])
        if declared is not None:
            return replace(declared, name=column.name)
        return Column(
            column.name, "dimension", KylinType(column.type.name, column.type.precision, column.type.scale), ""
        )
