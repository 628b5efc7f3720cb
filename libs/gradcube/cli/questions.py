"""The demo's questions in SQL, asked through stock kylinpy."""

from typing import Any

from gradcube.cli import output
from gradcube.cube.client import open_kylin, query


def questions(job: str) -> dict[str, str]:
    """Title -> SQL for one job. The name is one that the coordinator has accepted: no quotes in it."""
    return {
        "Masked accuracy and loss per 10 s": f"""
select A.TS, A.ACCURACY, L.LOSS
from (select TS, max(METRIC_VALUE) as ACCURACY from FACTS
      where JOB = '{job}' and SUBJECT_KIND = 'job' and METRIC = 'masked_accuracy_ratio' group by TS) A
join (select TS, max(METRIC_VALUE) as LOSS from FACTS
      where JOB = '{job}' and SUBJECT_KIND = 'job' and METRIC = 'loss' group by TS) L on A.TS = L.TS
order by A.TS""",
        "Slowest ranks by sync wait (the slowest waits least)": f"""
select SUBJECT as WORKER, sum(METRIC_SUM) / sum(SAMPLES) as SYNC_WAIT_SECONDS, max(METRIC_MAX) as LONGEST
from FACTS where JOB = '{job}' and SUBJECT_KIND = 'rank' and METRIC = 'sync_wait_seconds'
group by SUBJECT order by SYNC_WAIT_SECONDS""",
        "Resource use per rank": f"""
select SUBJECT as WORKER, METRIC, sum(METRIC_SUM) / sum(SAMPLES) as MEAN, max(METRIC_MAX) as PEAK
from FACTS where JOB = '{job}' and SUBJECT_KIND = 'rank' and FAMILY = 'resource'
     and METRIC in ('cpu_utilization_ratio', 'memory_used_bytes')
group by SUBJECT, METRIC order by METRIC, SUBJECT""",
    }


def ask_all(url: str, job: str) -> list[dict[str, Any]]:
    """Asks, prints each table with its SQL, and returns [{title, sql, columns, rows}]."""
    gateway, answers = open_kylin(url), []
    for title, sql in questions(job).items():
        result = query(gateway, sql.strip())
        output.out.print(output.table(result.columns, result.rows, title=title))
        output.out.print(sql.strip(), style="dim")
        answers.append(
            {
                "title": title,
                "sql": sql.strip(),
                "columns": list(result.columns),
                "rows": [list(row) for row in result.rows],
            }
        )
    return answers
