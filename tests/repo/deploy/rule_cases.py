"""The alerts on SQL Server, series of a SQL Server over minutes, and what promtool finds in both."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.support.patience import PROGRAM_SECONDS

FILE = Path(__file__).parents[3] / "alerts" / "ekm-sql.rules.yml"
GROUPS = yaml.safe_load(FILE.read_text())["groups"]
GROUP_ORDER = [group["name"] for group in GROUPS]  # promtool's own order changes from run to run
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RECORDED = {rule["record"]: rule for group in GROUPS for rule in group["rules"] if "record" in rule}
EXPORTER, OTHER_EXPORTER = 'job="ekm",instance="c:10377"', 'job="ekm",instance="d:10377"'
N1 = f'{EXPORTER},sql_instance="SQLPRD01",host="n1"'
N2 = f'{EXPORTER},sql_instance="SQLPRD01",host="n2"'

Series = Mapping[str, str]


def series(name: str, labels: str, values: str) -> dict[str, str]:
    return {"series": f"{name}{{{labels}}}", "values": values}


def labelled(given: Sequence[Series], label: str) -> list[dict[str, str]]:
    """Return the series with a further label, as of a second scrape."""
    return [{**one, "series": one["series"].replace("{", f"{{{label},", 1)} for one in given]


def of_other_exporter(given: Sequence[Series]) -> list[dict[str, str]]:
    """Return the series of SQL Servers as a second exporter reads them."""
    return [{**one, "series": one["series"].replace(EXPORTER, OTHER_EXPORTER)} for one in given]


def promtool(*arguments: str) -> str:
    """Return exit code and output. A missing promtool is an error. It collects garbage less often, which saves processor time."""
    own = os.environ | {"GOGC": "800"}
    command = ["promtool", *arguments]
    done = subprocess.run(command, env=own, capture_output=True, check=False, text=True, timeout=PROGRAM_SECONDS)  # noqa: S603 - nothing from outside the tests
    return f"{done.returncode} {done.stdout}{done.stderr}"


def checked(tmp_path: Path, *tests: object) -> str:
    """Return what promtool prints, which evaluates the rules each minute, as Prometheus does."""
    path = tmp_path / "tests.yml"
    whole = [{"interval": "1m", **one} for one in tests]  # type: ignore[dict-item]
    known = {"rule_files": [str(FILE)], "group_eval_order": GROUP_ORDER, "evaluation_interval": "1m"}
    path.write_text(yaml.safe_dump({**known, "tests": whole}))
    return promtool("test", "rules", str(path))


def problems(tmp_path: Path, checks: Sequence[Mapping[str, object]], given: object) -> str:
    """Return what promtool prints if the checks do not hold for these series, or for each of these named stories."""
    stories = given if isinstance(given, dict) else {"": given}
    tests = [{"name": name, "input_series": found, "promql_expr_test": checks} for name, found in stories.items()]
    output = checked(tmp_path, *tests)
    return "" if output.startswith("0 ") else output


def count(at: int, alert: str, number: int, labels: str = "") -> dict[str, object]:
    return {
        "expr": f'count(ALERTS{{alertname=~"{alert}",alertstate="firing"{labels}}}) or vector(0)',
        "eval_time": f"{at}m",
        "exp_samples": [{"labels": "{}", "value": number}],
    }
