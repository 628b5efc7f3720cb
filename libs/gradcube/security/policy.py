"""What a principal sees of a cube's relation: our own SELECT of it in, one with row rules and masks around it out.

The text is trusted by the query pool: the only foreign parts are the jobs granted, which `patterns` quotes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gradcube.cube.model import CubeModel
from gradcube.errors import Forbidden
from gradcube.security.patterns import condition, is_everything, matches
from gradcube.security.roles import Role

JOB = "JOB"
MASK = "***"
_ROLLUP_ENDS = ("__SUM", "__MIN", "__MAX")


@dataclass(frozen=True)
class Principal:
    """Somebody who has proved who he is, and what he sees of the store (a `gradcube.cube.questions.Sight`).

    `masked` are names of columns, `COLUMN` or `CUBE.COLUMN`, in upper case; `jobs` and `projects` are patterns.
    """

    name: str
    role: Role
    jobs: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    projects: tuple[str, ...] = ("*",)

    @property
    def sees_all_jobs(self) -> bool:
        """Whether no row is hidden from him."""
        return is_everything(self.jobs)

    def may_enter(self, project: str) -> bool:
        """Whether the project is granted; the names of projects have no case, as in Kylin."""
        return matches((one.upper() for one in self.projects), project.upper())

    def may_read(self, model: CubeModel, columns: Sequence[str]) -> bool:
        """Whether a relation of the cube may be read at all: ask it of a rollup before a statement is routed there.

        Where no column says whose job a row is of, rows cannot be told apart: a cube without JOB is for operators and
        admins, a rollup without it for who sees all jobs.
        """
        if model.column(JOB) is None:
            return self.role >= Role.operator
        return JOB in columns or self.sees_all_jobs

    def restricted(self, model: CubeModel, columns: Sequence[tuple[str, str]], select: str) -> str:
        """A SELECT of the same columns (name, DuckDB type) in the same order, over the relation's own `select`.

        Raises Forbidden where `may_read` is false.
        """
        names = [name for name, _ in columns]
        if not self.may_read(model, names):
            raise Forbidden(f"{self.name} may not read {model.name}; an administrator grants jobs and roles")
        masked = self.masked_columns(model)
        rows = condition(f'granted."{JOB}"', self.jobs) if JOB in names else "true"
        if rows == "true" and not masked:
            return select
        cells = ", ".join(
            _masked(name, kind) if name in masked or _source(name) in masked else f'granted."{name}"'
            for name, kind in columns
        )
        return f"SELECT {cells} FROM ({select}) AS granted WHERE {rows}"  # noqa: S608 - the cube's names, quoted jobs

    def rows(self, model: CubeModel, alias: str) -> str:
        """The condition on the cube's rows under that (trusted) alias, in standard SQL. Raises Forbidden."""
        names = [column.name for column in model.columns]
        if not self.may_read(model, names):
            raise Forbidden(f"{self.name} may not read {model.name}; an administrator grants jobs and roles")
        return condition(f'"{alias}"."{JOB}"', self.jobs) if JOB in names else "true"

    def masked_columns(self, model: CubeModel) -> frozenset[str]:
        """The cube's columns that he does not see; with the time also what is derived from it."""
        hidden = {
            column.name
            for column in model.columns
            if column.name in self.masked or f"{model.name}.{column.name}" in self.masked
        }
        if model.time in hidden:
            hidden.update(column.name for column in model.of_kind("derived"))
        return frozenset(hidden)


def _masked(name: str, kind: str) -> str:
    # A constant: the column itself is not read, so nothing that a statement does can bring it out.
    value = f"'{MASK}'" if kind.upper().startswith("VARCHAR") else "NULL"
    return f'CAST({value} AS {kind}) AS "{name}"'


def _source(name: str) -> str:
    """The measure that a rollup's column sums up; any other column is its own."""
    for end in _ROLLUP_ENDS:
        name = name.removesuffix(end)
    return name
