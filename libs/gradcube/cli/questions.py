"""The demo's questions in SQL, asked through stock kylinpy."""

from typing import Any

from gradcube.cli import output
from gradcube.cube.client import query


def questions(job: str) -> dict[str, str]:
    """Title -> SQL for one job. The job's name is our own, so it needs no quoting beyond the check of the coordinator."""
    return {
        "Masked accuracy and loss per 10 s": f"""
select TS, sum(case_accuracy) as ACCURACY, sum(case_loss) as LOSS
from (select TS, METRIC, sum(METRIC_VALUE) as V,
             case when METRIC = 'masked_accuracy_ratio' then sum(METRIC_VALUE) else 0 end as case_accuracy,
             case when METRIC = 'loss' then sum(METRIC_VALUE) else 0 end as case_loss
      from FACTS where JOB = '{job}' and SUBJECT_KIND = 'job' and METRIC in ('masked_accuracy_ratio', 'loss')
      group by TS, METRIC)
group by TS order by TS""",
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
    answers = []
    for title, sql in questions(job).items():
        result = query(url, sql.strip())
        output.out.print(output.table(result.columns, result.rows, title=title))
        output.out.print(sql.strip(), style="dim")
        answers.append({"title": title, "sql": sql.strip(), "columns": list(result.columns), "rows": [list(row) for row in result.rows]})
    return answers
