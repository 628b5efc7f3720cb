"""Statements that must not get through: written down, and composed by a seeded draw. `{secret}` is a file outside,
`{inside}` one of the store that no view shows, `{target}` a place to write to."""

import random

PIECES = [
    "(select max(content) from read_text('{secret}'))",
    "(select max(content) from read_blob('{inside}'))",
    "(select count(*) from read_csv('{secret}', header=false, columns={{'a':'varchar'}}))",
    "(select max(canary) from read_parquet('{inside}'))",
    "(select max(canary) from '{inside}')",
    "(select max(canary) from parquet_scan(['{inside}']))",
    "(select max(file) from glob('{secret}'))",
    "(select max(value) from duckdb_settings())",
    "(select count(*) from duckdb_views())",
    "(select max(path_in_schema) from parquet_metadata('{inside}'))",
    "(select max(table_name) from information_schema.tables)",
    "(select max(relname) from pg_catalog.pg_class)",
    "(select max(name) from sqlite_master)",
    "(select count(*) from query('select 1'))",
    "(select count(*) from query_table('FACTS'))",
    "(select count(*) from range(100000000000))",
    "(select count(*) from generate_series(1, 100000000000))",
    "(with recursive r as (select 1 x union all select x + 1 from r) select count(*) from r)",
    '(with "{inside}" as (select 1 canary) select 1) || (select max(canary) from "{inside}")',
    "current_setting('allowed_directories')",
    "getenv('CANARY')",
    "write_log('canary')",
    "sleep_ms(100000)",
    "nextval('s')",
    "repeat('x', 1000000000)",
    "lpad('x', 1000000000, 'y')",
    "rpad('x', 2000000000, 'y')",
    "printf('%1000000000d', 1)",
    "format('{{:>1000000000}}', 1)",
    "len(range(1000000000))",
    "list_sum(list_transform(range(200000000), lambda x: x * 2))",
    "list_reduce(range(200000000), lambda x, y: x + y)",
    "string_agg(repeat('x', 100000000), repeat(',', 100000000))",
    "regexp_matches(repeat('a', 100000), '(a|aa|aaa){{500}}b')",
    "array_to_string(range(300000000), ',')",
    "map_from_entries(list_transform(range(100000000), lambda x: (x, x)))",
    "json_execute_serialized_sql('x')",
    "unnest(range(10000000000))",
]
CONTEXTS = [
    "select {piece}",
    "select {piece} as x, job from facts",
    "select job from facts where {piece} is not null",
    "select job from facts order by {piece}",
    "select case when {piece} is null then 1 else 2 end from facts",
    "with a as (select {piece} as x) select * from a",
    "select count(*) from facts group by {piece}",
    "select count(*) from facts having max({piece}) is not null",
    "select f.job from facts f join facts g on {piece} is not null",
    "select 1 union all select {piece}",
    "select * from (select coalesce({piece}, null) as x from facts) t",
    "select job from facts where exists (select 1 from facts where {piece} is null)",
    "select sum(1) over (partition by {piece}) from facts",
    "select cast({piece} as varchar) from facts limit 3",
    "select max({piece}) filter (where true) from facts",
]
STATEMENTS = [
    "select * from '{secret}'",
    'select * from "{inside}"',
    "from '{inside}'",
    "table '{inside}'",
    "copy (select 1) to '{target}'",
    "copy facts to '{target}' (format parquet)",
    "copy facts from '{secret}'",
    "attach '{target}' as x",
    "attach '{inside}' as x (read_only)",
    "export database '{target}'",
    "import database '{secret}'",
    "install httpfs",
    "load httpfs",
    "load '{inside}'",
    "pragma version",
    "pragma database_list",
    "call pragma_version()",
    "set threads = 64",
    "set memory_limit = '100GB'",
    "set enable_external_access = true",
    "set allowed_directories = ['/']",
    "reset memory_limit",
    "create macro f() as 1",
    "create table x as select 1",
    "create temp table x as select * from facts",
    "create view facts as select 1",
    "create secret s (type s3)",
    "create function f(x) as x",
    "drop view facts",
    "insert into facts select 1",
    "delete from facts",
    "with x as (insert into facts select 1 returning *) select * from x",
    "prepare p as select 1",
    "execute p",
    "begin transaction",
    "commit",
    "rollback",
    "checkpoint",
    "vacuum",
    "analyze",
    "use memory",
    "detach memory",
    "explain analyze select 1",
    "describe facts",
    "summarize facts",
    "show all tables",
    "show tables",
    "select * from (show tables)",
    "select * from (describe facts)",
    "pivot facts on job",
    "select * from (pivot facts on job using count(*))",
    "values (1)",
    "select 1; select 2",
    "select 1; copy (select 1) to '{target}'",
    "select 1; rollback; set threads = 1",
    "select * from memory.\"DEFAULT\".facts",
    "select * from main.facts",
    "select * from system.information_schema.tables",
    "select * from temp.sqlite_master",
    "select * from facts, lateral (select * from read_text('{secret}'))",
    "select * from facts at (version => 1)",
    "select columns('.*') from facts",
    "select 1 from facts qualify row_number() over () = 1",
    "select /* \u202e */ * from read_text('{secret}') -- harmless",
    "/*! select 1 */ copy (select 1) to '{target}'",
    "select 1 --\n; copy (select 1) to '{target}'",
    "select \uff52\uff45\uff41\uff44\uff3f\uff54\uff45\uff58\uff54('{secret}')",
    "select\u00a0*\u00a0from\u00a0read_text('{secret}')",
    "select 1\x00; copy (select 1) to '{target}'",
    "select * from read_text('{secret}\x00')",
    "select * from \"" + "a" * 1_000_000 + "\"",
    "select " + "b" * 1_000_000,
    "select " + "(" * 20_000 + "1" + ")" * 20_000,
    "select " + "- " * 20_000 + "1",
    "select " + "case when true then " * 5_000 + "1" + " end" * 5_000,
    "select " + " || ".join(["'x'"] * 20_000),
    "select * from " + ", ".join(f"facts f{number}" for number in range(40)),
]  # fmt: skip


def drawn(count: int, seed: int) -> list[str]:
    """`count` different statements: a hostile piece in an otherwise valid query, in some disguise."""
    draw = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        text = draw.choice(CONTEXTS).replace("{piece}", draw.choice(PIECES))
        if draw.random() < 0.3:
            text = text.replace("{piece}", draw.choice(PIECES)).replace(" from facts", " from facts, facts g", 1)
        found[_disguised(text, draw)] = None
    return list(found)


def filled(sql: str, secret: str, inside: str, target: str) -> str:
    """With the places filled in."""
    for name, value in (("secret", secret), ("inside", inside), ("target", target)):
        sql = sql.replace("{" + name + "}", value)
    return sql.replace("{{", "{").replace("}}", "}")


def _disguised(text: str, draw: random.Random) -> str:
    style = draw.randrange(5)
    if style == 1:
        return text.replace(" ", "/**/")
    if style == 2:
        return text.replace(" ", "\n\t") + " -- select 1"
    if style == 3:
        return text.replace("select", draw.choice(["SELECT", "SeLeCt"]))
    return f"select * from ({text}) hidden" if style == 4 else text
