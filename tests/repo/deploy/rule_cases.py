"""The alerts on SQL Server, series of a SQL Server over minutes, and what promtool finds in both."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
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
N3 = f'{EXPORTER},sql_instance="SQLPRD01",host="n3"'
HOURS = 60  # one value a minute
OLD, NEW = "0x" + "01" * 20, "0x" + "02" * 20
FULL = 'pin="config",mode="full"'
SECTIONS = "mssql_ekm_section_timestamp_seconds"
ERRORS = "mssql_ekm_error_log_last_timestamp_seconds"

Series = Mapping[str, str]
Value = Callable[[int], float | None]  # of a minute; None: absent


def series(name: str, labels: str, values: str) -> dict[str, str]:
    return {"series": f"{name}{{{labels}}}", "values": values}


def over(minutes: int, value: Value) -> str:
    """Return a value for each minute."""
    return " ".join("_" if (known := value(minute)) is None else f"{known:g}" for minute in range(minutes))


def uses(database: str, thumbprint: str, values: str, node: str = N1, encryptor: str = "ASYMMETRIC KEY") -> dict[str, str]:
    labels = f'{node},database="{database}",encryptor_type="{encryptor}",encryptor_thumbprint="{thumbprint}"'
    return series("mssql_ekm_database_encryption_state", labels, values)


def pinned(
    target: str, thumbprint: str, values: str, *, sql: str = "SQLPRD01", exporter: str = "c:10377", more: str = FULL
) -> list[dict[str, str]]:
    """Return the declarations of a target, without a SQL Server if `sql` is empty."""
    of = f'job="ekm",instance="{exporter}",target="{target}",vault="contoso-prod.vault.azure.net"'
    labels = f"{of},{more}" + (f',thumbprint="{thumbprint}"' if thumbprint else "")
    listed = [series("ekm_instance_info", f'{of},sql_instance="{sql}",host="n1"', values)] if sql else []
    return [series("ekm_target_info", labels, values), *listed]


def differs(
    kind: str, values: str, node: str = N1, *, target: str = "contoso-key0", thumbprint: str = NEW, uri: str = ""
) -> list[dict[str, str]]:
    """Return a difference of a SQL Server from the configuration of an exporter, and that this exporter read the SQL Server."""
    more = "" if not uri else f',key_uri="{uri}"'
    of_target = f',target="{target}"' if target else ""
    return [
        series("mssql_ekm_difference_databases", f'{node},kind="{kind}"{of_target},thumbprint="{thumbprint}"{more}', values),
        series(SECTIONS, f'{node},section="encryption"', "0x600"),
    ]


def side(values: str, target: str = "contoso-key0") -> dict[str, str]:
    """Return the verdict of a target."""
    of = f'job="ekm",instance="c:10377",target="{target}",vault="contoso-prod.vault.azure.net"'
    return series("ekm_vault_side_ready", of, values)


def read(node: str, minutes: int, *sections: str, until: int | None = None) -> list[dict[str, str]]:
    """Return the series of a SQL Server that is read each minute; `until` is the minute of the last good reading."""
    last = minutes if until is None else until
    return [
        series("mssql_ekm_read_success", node, over(minutes, lambda minute: float(minute <= last))),
        series("mssql_ekm_read_refused", node, over(minutes, lambda _: 0.0)),
        *(
            series(SECTIONS, f'{node},section="{each}"', over(minutes, lambda minute: 60.0 * min(minute, last)))
            for each in sections or ("instance", "backups", "errors", "logs")
        ),
    ]


def of_other_exporter(given: Sequence[Series]) -> list[dict[str, str]]:
    """Return the series of SQL Servers as a second exporter reads them."""
    return [{**one, "series": one["series"].replace(EXPORTER, OTHER_EXPORTER)} for one in given if "mssql_" in one["series"]]


def promtool(*arguments: str) -> str:
    """Return exit code and output. A missing promtool is an error. It collects garbage less often, which saves processor time."""
    own = os.environ | {"GOGC": "800"}
    command = ["promtool", *arguments]
    done = subprocess.run(command, env=own, capture_output=True, check=False, text=True, timeout=PROGRAM_SECONDS)  # noqa: S603 - nothing from outside the tests
    return f"{done.returncode} {done.stdout}{done.stderr}"


def checked(tmp_path: Path, *tests: object, step: int = 1) -> str:
    """Return what promtool prints, which evaluates the rules every `step` minutes."""
    path = tmp_path / "tests.yml"
    whole = [{"interval": "1m", **one} for one in tests]  # type: ignore[dict-item]
    known = {"rule_files": [str(FILE)], "group_eval_order": GROUP_ORDER, "evaluation_interval": f"{step}m"}
    path.write_text(yaml.safe_dump({**known, "tests": whole}))
    return promtool("test", "rules", str(path))


def problems(tmp_path: Path, checks: Sequence[Mapping[str, object]], given: object) -> str:
    """Return what promtool prints if the checks do not hold for these series, or for each of these named stories."""
    stories = given if isinstance(given, dict) else {"": given}
    tests = [{"name": name, "input_series": found, "promql_expr_test": checks} for name, found in stories.items()]
    output = checked(tmp_path, *tests, step=step_of(moments(checks)))
    return "" if output.startswith("0 ") else output


def moments(checks: Sequence[Mapping[str, object]]) -> list[int]:
    """Return the minutes of the checks."""
    return [int(str(check["eval_time"]).removesuffix("m")) for check in checks]


def step_of(checked_at: Sequence[int]) -> int:
    """Return the minutes between two evaluations of the rules that the moments of a story permit."""
    steps = (step for step in (30, 5) if max(checked_at) >= 20 * step and all(at % step == 0 for at in checked_at))
    return next(steps, 1)


def firing(at: int, alert: str, *expected: object) -> dict[str, object]:
    return {"eval_time": f"{at}m", "alertname": alert, "exp_alerts": list(expected)}


def count(at: int, alert: str, number: int) -> dict[str, object]:
    return {
        "expr": f'count(ALERTS{{alertname=~"{alert}",alertstate="firing"}}) or vector(0)',
        "eval_time": f"{at}m",
        "exp_samples": [{"labels": "{}", "value": number}],
    }
