"""The rules in other engines: vmalert of VictoriaMetrics, and the resource type of Azure Managed Prometheus."""

import json
import subprocess

import pytest
import yaml

from alerts import azure, build
from tests.support.patience import PROGRAM_SECONDS
from tests.system.alerts.case import firing
from tests.system.alerts.notation import series
from tests.system.alerts.test_cases import CASES

TEXT = build.RULES.read_text()
SQL_TEXT = build.SQL.read_text()
GROUPS = json.loads(build.AZURE.read_text())["resources"]
RULES = [rule for text in (TEXT, SQL_TEXT) for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
GROUP_OF = {
    rule.get("alert") or rule["record"]: group["name"] for group in yaml.safe_load(TEXT)["groups"] for rule in group["rules"]
}


def dry_run(path):
    command = ["vmalert", "-dryRun", f"-rule={path}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)  # noqa: S603 - files of this project


@pytest.mark.real
def test_vmalert_accepts_the_rules(tmp_path):
    for path in (build.RULES, build.SQL):
        done = dry_run(path)
        assert done.returncode == 0, done.stderr

    (tmp_path / "bad.yml").write_text(TEXT.replace("humanizeDuration", "noSuchFunction"))
    assert dry_run(tmp_path / "bad.yml").returncode != 0


@pytest.mark.real
@pytest.mark.parametrize("name", ["only wrap is refused, because the key has expired", "half of the answers are 429"])
def test_vmalert_fires_the_same_alerts(name, tmp_path):
    # Windows of VictoriaMetrics are open at their left end, as those of Prometheus 3 are.
    (tmp_path / "case.yml").write_text(yaml.safe_dump(document(CASES[name]), width=10**6))
    command = ["vmalert-tool", "unittest", "--files", tmp_path / "case.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)  # noqa: S603 - files of this project
    assert done.returncode == 0, done.stdout + done.stderr


def document(case):
    """Return the file for vmalert-tool: which alerts fire, with all their labels."""
    step = f"{case.scrape}s"
    quiet = [(second, alert, ()) for alert in case.absent for second in range(0, case.length + 1, case.scrape * 4)]
    checks = [
        {
            "expr": f'ALERTS{{alertstate="firing",alertname="{alert}"}}',
            "eval_time": f"{second}s",
            "exp_samples": [{"labels": labels(alert, one), "value": 1} for one in fired],
        }
        for second, alert, fired in (*case.checks, *quiet)
    ]
    inputs = {"interval": step, "input_series": series(case.exporters, case.length, case.scrape)}
    return {
        "rule_files": [str(build.RULES)],
        "evaluation_interval": step,
        "group_eval_order": list(dict.fromkeys(GROUP_OF.values())),
        "tests": [inputs | {"metricsql_expr_test": checks}],
    }


def labels(alert, fired):
    """Return the labels of ALERTS, with the one that vmalert adds."""
    added = {"__name__": "ALERTS", "alertstate": "firing", "alertgroup": GROUP_OF[alert]}
    return "{" + ", ".join(f'{name}="{value}"' for name, value in (dict(firing(alert, fired)) | added).items()) + "}"


def test_azure_template_equals_the_generated_one():
    full = build.joined(build.commented(), build.commented(template=build.SQL_TEMPLATE))
    assert azure.template(full) == build.AZURE.read_text(), "run ./dev docs"


def test_azure_groups_hold_every_rule_in_order():
    found = [
        (rule.get("alert") or rule["record"], rule["expression"]) for group in GROUPS for rule in group["properties"]["rules"]
    ]
    assert found == [(rule.get("alert") or rule["record"], rule["expr"]) for rule in RULES]
