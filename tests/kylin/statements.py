"""Drawn aggregations over FACTS: dimensions, time grains, filters, having, order and limit."""

from dataclasses import dataclass

from hypothesis import strategies as st

TEXTS = {
    "JOB": ["gpt-1b-web", "gpt-125m-code", "bert", "nobody", "it's", "müller"], "MODEL": ["gpt-1b", "bert", "t5"],
    "DATASET": ["web", "code", ""], "HARDWARE": ["cpu", "8 x NVIDIA H100 80GB HBM3"],
    "SUBJECT_KIND": ["job", "rank", "node"], "SUBJECT": ["0", "3", "17"],
    "NODE": ["", "node-a", "node-d"], "FAMILY": ["latency", "quality", "resource"],
    "METRIC": ["loss", "step_seconds", "sync_wait_seconds", "tokens_per_second"],
}  # fmt: skip
NUMBERS = {
    "WINDOW_SECONDS": [9, 10, 60],
    "ATTEMPT": [0, 1],
    "STAGE": [0, 1, 10],
    "MODEL_PARAMETERS": [1_000_000, 1_100_000_000],
}
TIMES = ["TS", "MINUTE_START", "HOUR_START"]
MOMENTS = ["2026-11-23 10:00:00", "2026-11-24 04:30:00", "2026-11-24 09:02:07", "2026-11-25 00:00:00"]
GRAINS = ["MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]
AGGREGATES = [
    "count(*)", "count(METRIC_VALUE)", "sum(METRIC_VALUE)", "min(METRIC_VALUE)", "max(METRIC_VALUE)", "sum(METRIC_SUM)",
    "min(METRIC_MIN)", "max(METRIC_MAX)", "sum(SAMPLES)", "avg(METRIC_VALUE)", "avg(SAMPLES)", "count(distinct JOB)",
    "count(distinct SUBJECT)", "sum(METRIC_SUM) / sum(SAMPLES)", "min(MINUTE_START)", "max(DAY_START)",
    "max(MODEL_PARAMETERS)", "round(sum(METRIC_VALUE) / 7, 2)", "max(ATTEMPT) + 1", "min(JOB)", "2 * count(*)",
    "cast(sum(SAMPLES) as double) / 3", "sum(SAMPLES) / 7", "case when count(*) > 100 then 'many' else 'few' end",
    "coalesce(min(NODE), 'none')", "timestampdiff(MINUTE, min(MINUTE_START), max(MINUTE_START))",
]  # fmt: skip
"""What facts.yaml declares for every engine, and arithmetic over it."""


@dataclass(frozen=True)
class Drawn:
    """`ordered` when no two rows may change places; `groups` are the first columns."""

    sql: str
    groups: int


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A condition on a dimension of texts."""
    name = draw(st.sampled_from(sorted(TEXTS)))
    some = draw(st.lists(st.sampled_from(TEXTS[name]), min_size=1, max_size=3, unique=True))
    one = _quoted(some[0])
    several = ", ".join(map(_quoted, some))
    return draw(
        st.sampled_from([
            f"{name} = {one}", f"{name} <> {one}", f"{name} in ({several})", f"{name} not in ({several})",
            f"{name} like {_quoted(some[0][:2] + '%')}",
            f"{name} like {_quoted('%' + some[0][1:])}", f"{name} like {_quoted('_' + some[0][1:3] + '%')}",
            f"{name} not like {_quoted('%' + some[0][2:4] + '%')}", f"{name} >= {one}", f"upper({name}) = upper({one})",
            f"{name} is not null", f"{name} between {one} and 'z'", f"not ({name} = {one})",
        ])
    )  # fmt: skip


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """A condition on a dimension of whole numbers."""
    name = draw(st.sampled_from(sorted(NUMBERS)))
    value = draw(st.sampled_from(NUMBERS[name]))
    sign = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]))
    return draw(
        st.sampled_from(
            [f"{name} {sign} {value}", f"{name} between {value} and {value + 5}", f"{name} in ({value}, 7)"]
        )
    )


@st.composite
def times(draw: st.DrawFn) -> str:
    """A condition on a derived time."""
    name, sign = draw(st.sampled_from(TIMES)), draw(st.sampled_from(["<", "<=", ">", ">="]))
    moment, grain = draw(st.sampled_from(MOMENTS)), draw(st.sampled_from(GRAINS))
    return draw(
        st.sampled_from([
            f"{name} {sign} TIMESTAMP '{moment}'", f"{name} {sign} '{moment}'", f"{name} {sign} DATE '{moment[:10]}'",
            f"DAY_START {sign} DATE '{moment[:10]}'", f"DAY_START = '{moment[:10]}'",
            f"{name} is not null", f"({name} is null or STAGE = 1)",
            f"{name} <> '{moment}'", f"{name} = TIMESTAMP '{moment}'", f"{name} in ('{moment}', '2026-11-24 09:00:00')",
            f"floor({name} to {grain}) {sign} TIMESTAMP '{moment}'", f"extract(hour from {name}) {sign} 9",
            f"{name} {sign} timestampadd(HOUR, -3, TIMESTAMP '{moment}')", f"{name} < current_timestamp",
            f"cast({name} as date) {sign} DATE '{moment[:10]}'", f"DAY_START {sign} TIMESTAMP '{moment}'",
        ])
    )  # fmt: skip


def others(*signs: str) -> st.SearchStrategy[str]:
    """A condition on what other facts are, or are not."""
    name, one = st.sampled_from(["JOB", "SUBJECT", "METRIC"]), one_condition()
    rest = st.sampled_from(["", " group by {0}", " group by {0} having count(*) > 300"])
    return st.tuples(name, one, rest, st.sampled_from(signs)).map(
        lambda drawn: (
            f"{drawn[0]} {drawn[3]} (select {drawn[0]} from FACTS where {drawn[1]}{drawn[2].format(drawn[0])})"
        )
    )


def one_condition() -> st.SearchStrategy[str]:
    """On a dimension."""
    return st.one_of(texts(), numbers(), times())


def conditions(*signs: str) -> st.SearchStrategy[str]:
    """One, or several joined."""
    one = one_condition()
    joined = st.tuples(one, st.sampled_from(["and", "or"]), one).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    )
    return st.one_of(one, one, joined, joined, others(*signs))


def groupings() -> st.SearchStrategy[str]:
    """What rows are put together by: dimensions, times in grains, and what can be computed of them."""
    grained = st.tuples(st.sampled_from([*TIMES, "DAY_START"]), st.sampled_from(GRAINS))
    return st.one_of(
        st.sampled_from([*sorted(TEXTS), *sorted(NUMBERS), *TIMES, "DAY_START"]),
        grained.map(lambda one: f"floor({one[0]} to {one[1]})"),
        st.sampled_from([
            "upper(JOB)", "ATTEMPT + 1", "substring(METRIC, 1, 3)", "case when ATTEMPT = 0 then JOB else 'later' end",
            "extract(hour from MINUTE_START)", "JOB || '/' || SUBJECT", "cast(MINUTE_START as date)",
            "month(DAY_START)",
        ]),
    )  # fmt: skip


@st.composite
def sums_of_sums(draw: st.DrawFn) -> Drawn:
    """Aggregations of an aggregation: around it, over its rows in order, beside another, below another."""
    where = draw(conditions("in"))  # NOT IN (SELECT ...) is refused there
    inner = f"select JOB, STAGE, count(*) as N, sum(SAMPLES) as S from FACTS where {where} group by JOB, STAGE"
    other = f"select JOB as J, sum(SAMPLES) as T from FACTS where {draw(conditions('in'))} group by JOB"
    return draw(
        st.sampled_from([
            Drawn(f"select JOB, max(S), sum(N) from ({inner}) as A group by JOB", 1),
            Drawn(f"with A as ({inner}) select STAGE, sum(S) / count(*) from A where N > 100 group by STAGE", 1),
            Drawn(f"select JOB, STAGE, sum(S) over (partition by JOB order by STAGE) from ({inner}) as A", 2),
            Drawn(f"select JOB, STAGE, rank() over (order by S desc, JOB, STAGE) from ({inner}) as A", 2),
            Drawn(f"select A.JOB, A.STAGE, A.S, B.T from ({inner}) as A join ({other}) as B on A.JOB = B.J", 2),
            Drawn(f"select A.JOB, A.STAGE, B.T from ({inner}) as A left join ({other}) as B on A.JOB = B.J", 2),
            Drawn(f"select JOB, S from ({inner}) as A union all select J, T from ({other}) as B", 2),
            Drawn(f"select count(*) from (select distinct JOB, STAGE from FACTS where {where}) as A", 0),
            Drawn(f"select count(distinct JOB), count(*) from (select JOB, STAGE from FACTS where {where}) as A", 0),
        ])
    )  # fmt: skip


def statements() -> st.SearchStrategy[Drawn]:
    """Mostly aggregations of facts, some of aggregations."""
    return st.one_of(aggregations(), aggregations(), sums_of_sums())


@st.composite
def aggregations(draw: st.DrawFn) -> Drawn:
    """One SELECT with GROUP BY, in full or in part."""
    groups = draw(st.lists(groupings(), max_size=3, unique=True))
    measures = draw(st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=4, unique=True))
    where = draw(st.lists(conditions("in", "not in"), max_size=2))
    columns = [
        *(f"{one} as G{at}" for at, one in enumerate(groups)),
        *(f"{one} as M{at}" for at, one in enumerate(measures)),
    ]
    sql = f"select {', '.join(columns)} from FACTS"
    sql += f" where {' and '.join(where)}" if where else ""
    if not groups:
        return Drawn(sql, 0)
    sql += f" group by {', '.join(groups)}"
    sql += draw(st.sampled_from(["", "", " having count(*) > 20", " having sum(SAMPLES) > 500 and min(JOB) < 'h'"]))
    if draw(st.booleans()):
        places = ", ".join(f"{at + 1}{draw(st.sampled_from(['', ' desc']))}" for at in range(len(groups)))
        sql += f" order by {places}" + draw(st.sampled_from(["", " limit 7", " limit 5 offset 2"]))
    return Drawn(sql, len(groups))
