"""Two engines behind one question: Kylin for the cubes that it holds, the gateway's own store for all others."""

from collections.abc import Collection

from gradcube.cube.kylin.statement import cubes_of
from gradcube.cube.model import Catalog
from gradcube.cube.questions import Engine, Prepared, Question, Sight
from gradcube.cube.sandbox.request import Progress
from gradcube.errors import QueryError


class EitherEngine:
    """`held`: the cubes that are in Kylin. A statement reads the cubes of one engine."""

    def __init__(self, catalog: Catalog, embedded: Engine, kylin: Engine, held: Collection[str]) -> None:
        self._catalog, self._embedded, self._kylin, self._held = catalog, embedded, kylin, frozenset(held)

    def prepare(self, question: Question, sight: Sight, query_id: str) -> Prepared:
        """As the engine that is asked. Raises QueryError for a statement that would need both."""
        read = cubes_of(question, self._catalog)
        there, here = read & self._held, read - self._held
        if there and here:
            raise QueryError(
                f"{', '.join(sorted(there))} is in Kylin, {', '.join(sorted(here))} in the gateway's own store.",
                hint="A statement reads one of them: ask twice, and join the answers.",
            )
        return (self._kylin if there else self._embedded).prepare(question, sight, query_id)

    def cancel(self, query_id: str) -> bool:
        """Of whichever engine has it."""
        return self._kylin.cancel(query_id) or self._embedded.cancel(query_id)

    def progress(self, query_id: str) -> Progress | None:
        """As `cancel`."""
        return self._kylin.progress(query_id) or self._embedded.progress(query_id)
