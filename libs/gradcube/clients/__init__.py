"""What a program or a notebook imports to ask in SQL: `gradcube.connect(url).query(sql)`, a DB-API, SQLAlchemy.

Everything speaks HTTP to a gradcube gateway or to Apache Kylin itself. `dbapi` is PEP 249, `sqla` the SQLAlchemy
dialect `kylin+compat://`, `connection` the short way for people. None of them needs the rest of gradcube.
"""
