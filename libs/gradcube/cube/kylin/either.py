"""Two engines behind one question: Kylin for the cubes that it holds, the gateway's own store for all others."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from gradcube.cube.kylin.across import PreparedAcross, TakesGiven
from gradcube.cube.kylin.parts import parts_of
from gradcube.cube.kylin.statement import cubes_of
from gradcube.cube.model import Catalog
from gradcube.cube.questions import Engine, Prepared, Question, Sight
from gradcube.cube.sandbox.request import Progress


class EitherEngine:
    """`held`: the cubes that are in Kylin. `workers` statements over the cubes of both are answered at once."""

    def __init__(
        self, catalog: Catalog, embedded: TakesGiven, kylin: Engine, held: Collection[str], workers: int
    ) -> None:
        self._catalog, self._embedded, self._kylin, self._held = catalog, embedded, kylin, frozenset(held)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="across")

    def prepare(self, question: Question, sight: Sight, query_id: str) -> Prepared:
        """As the engine that is asked. Raises QueryError also where rows of both would meet one by one."""
        read = cubes_of(question, self._catalog)
        there, here = read & self._held, read - self._held
        if not (there and here):
            return (self._kylin if there else self._embedded).prepare(question, sight, query_id)
        parts = parts_of(question, self._catalog, self._held)
        prepared = [self._kylin.prepare(one, sight, query_id) for one in parts.asked.values()]
        return PreparedAcross(parts, prepared, self._embedded, sight, query_id, self._pool)

    def close(self) -> None:
        """Nothing new begins; what runs ends when the engines do."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def cancel(self, query_id: str) -> bool:
        """Of whichever engine has it."""
        return self._kylin.cancel(query_id) or self._embedded.cancel(query_id)

    def progress(self, query_id: str) -> Progress | None:
        """As `cancel`."""
        return self._kylin.progress(query_id) or self._embedded.progress(query_id)
