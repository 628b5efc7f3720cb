"""The SQLAlchemy dialect `kylin+compat://user:password@host:port/project`, for SQLAlchemy 1.4 and 2.

Its name is "kylin", so what tools know of Kylin (Superset's engine spec) applies to it. Options behind `?` are those of
`gradcube.clients.address.parse`: `ssl`, `verify`, `timeout`.
"""

from gradcube.clients.sqla.dialect import KylinCompatDialect

__all__ = ["KylinCompatDialect"]
