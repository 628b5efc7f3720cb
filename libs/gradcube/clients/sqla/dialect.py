"""`kylin+compat://`: SQLAlchemy's dialect over our DB-API. Reads only; reflection from the server's list of tables."""

from types import ModuleType
from typing import Any

from sqlalchemy import exc
from sqlalchemy.engine import default

from gradcube.clients import address, dbapi
from gradcube.clients.connection import Table
from gradcube.clients.sqla.compiler import KylinCompiler, KylinIdentifierPreparer, KylinTypeCompiler
from gradcube.clients.sqla.reflection import columns_of, matches
from gradcube.errors import ConfigError

SCHEMA = "DEFAULT"


class KylinCompatDialect(default.DefaultDialect):
    """`create_engine("kylin+compat://ADMIN@host:7070/gradcube", connect_args={"password_file": "..."})`."""

    name = "kylin"
    driver = "compat"
    default_paramstyle = "qmark"
    default_schema_name = SCHEMA
    supports_statement_cache = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_alter = False
    supports_sane_rowcount = False
    supports_sane_multi_rowcount = False
    supports_empty_insert = False
    postfetch_lastrowid = False
    statement_compiler = KylinCompiler
    type_compiler = KylinTypeCompiler
    preparer = KylinIdentifierPreparer

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """The PEP 249 module, as SQLAlchemy 2 asks for it."""
        return dbapi

    @classmethod
    def dbapi(cls) -> ModuleType:  # type: ignore[override]
        """The same for SQLAlchemy 1.4."""
        return dbapi

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """The address that the URL names. Raises ArgumentError for one that is none."""
        try:
            return [address.parse(url.render_as_string(hide_password=False))], {}
        except ConfigError as error:
            raise exc.ArgumentError(str(error)) from error

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Raises when the server does not answer."""
        dbapi_connection.cursor().execute("SELECT 1")
        return True

    def is_disconnect(self, e: Exception, connection: Any, cursor: Any) -> bool:
        """Each question is an HTTP request of its own: a connection does not go stale."""
        return False

    def _get_server_version_info(self, connection: Any) -> None:
        return None

    def _get_default_schema_name(self, connection: Any) -> str:
        return SCHEMA

    def get_schema_names(self, connection: Any, **kw: Any) -> list[str]:
        """All schemas, sorted."""
        return sorted({table.schema for table in _all_tables(connection)})

    def get_table_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """The tables, without the views."""
        return [table.name for table in _tables(connection, schema) if table.kind != "VIEW"]

    def get_view_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """The views."""
        return [table.name for table in _tables(connection, schema) if table.kind == "VIEW"]

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        """Whether there is a table or view of that name."""
        return any(matches(table.name, table_name) for table in _tables(connection, schema))

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        """The columns with their types. Raises NoSuchTableError."""
        return columns_of(_table(connection, table_name, schema))

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        """None: a cube has no keys."""
        return {"constrained_columns": [], "name": None}

    def get_foreign_keys(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        """None."""
        return []

    def get_indexes(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        """None."""
        return []

    def get_unique_constraints(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        """None."""
        return []

    def get_table_comment(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        """None: Kylin's answer has no place for one."""
        return {"text": None}


def _all_tables(connection: Any) -> list[Table]:
    ours: dbapi.Connection = connection.connection.dbapi_connection
    try:
        with dbapi.translated():
            return ours.asking.tables()
    except dbapi.Error as error:  # no statement is run here, so nobody else makes it one of SQLAlchemy's
        raise exc.DBAPIError.instance("tables_and_columns", None, error, dbapi.Error) from error


def _tables(connection: Any, schema: str | None) -> list[Table]:
    return [table for table in _all_tables(connection) if matches(table.schema, schema or SCHEMA)]


def _table(connection: Any, name: str, schema: str | None) -> Table:
    for table in _tables(connection, schema):
        if matches(table.name, name):
            return table
    raise exc.NoSuchTableError(f"{schema}.{name}" if schema else name)
