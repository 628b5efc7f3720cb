"""What Kylin's SQL writes in another way than SQLAlchemy's default: quoting, OFFSET alone, the names of types."""

from typing import Any

from sqlalchemy.sql import compiler

from gradcube.clients.sqla.words import RESERVED


class KylinIdentifierPreparer(compiler.IdentifierPreparer):
    """Lower-case names stay unquoted, and Kylin upper-cases them; reserved words and all others are quoted."""

    reserved_words = set(RESERVED)  # noqa: RUF012 - SQLAlchemy's way
    # Calcite reads no unquoted name that begins so, such as Superset's __timestamp.
    illegal_initial_characters = compiler.ILLEGAL_INITIAL_CHARACTERS.union("_")


class KylinCompiler(compiler.SQLCompiler):
    """SELECT alone is of use: the server refuses all else."""

    def limit_clause(self, select: Any, **kw: Any) -> str:
        """LIMIT and OFFSET, each for itself; SQLAlchemy's default writes LIMIT -1 before a lone OFFSET."""
        text = ""
        if select._limit_clause is not None:
            text += "\n LIMIT " + self.process(select._limit_clause, **kw)
        if select._offset_clause is not None:
            text += "\n OFFSET " + self.process(select._offset_clause, **kw)
        return text


class KylinTypeCompiler(compiler.GenericTypeCompiler):
    """Types as CAST takes them."""

    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:  # noqa: N802 - SQLAlchemy's name
        """Kylin's TIMESTAMP, which has no zone."""
        return "TIMESTAMP"

    def visit_TIMESTAMP(self, type_: Any, **kw: Any) -> str:  # noqa: N802 - SQLAlchemy's name
        """The same."""
        return "TIMESTAMP"

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:  # noqa: N802 - SQLAlchemy's name
        """Kylin's one type for texts."""
        return "VARCHAR"
