"""The rule groups for an Azure Monitor workspace: Microsoft's types, its limits, and the page that describes them."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from alerts import azure, build
from alerts.values import seconds_of
from tests.support.patience import PROGRAM_SECONDS
from tests.system.dashboards.boards import queries

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / ".cache" / "tools" / "bin"
PAGE = (ROOT / "docs" / "azure-monitor.md").read_text()
TEMPLATE = json.loads(build.AZURE.read_text())
GROUPS = TEMPLATE["resources"]
RULES = [rule for group in GROUPS for rule in group["properties"]["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
FILES = ROOT / "deploy" / "azure"
DAY = 86400
# Azure Monitor's documentation, editions of October 2024 to August 2026.
DESCRIPTION, LABELS, LABEL_NAME, LABEL_VALUE, RANGE_DAYS = 2048, 63, 511, 1023, 32


def compared(resources):
    """Return for each resource what Microsoft's types do not accept."""
    given = json.dumps([{name: value for name, value in one.items() if name != "apiVersion"} for one in resources])
    script = Path(__file__).with_name("azure_types.py")
    done = subprocess.run(  # noqa: S603 - a file of the project
        [TOOLS / "python", script], input=given, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.tools
def test_groups_have_the_types_of_microsoft():
    assert compared(GROUPS) == [[]] * len(GROUPS)


def test_no_group_is_longer_than_azure_permits():
    assert max(len(group["properties"]["rules"]) for group in GROUPS) <= 20


def test_texts_and_labels_are_within_the_limits():
    for rule in RULES:
        assert len(rule.get("annotations", {}).get("description", "")) <= DESCRIPTION
        labels = rule.get("labels", {})
        assert len(labels) <= LABELS
        assert all(len(name) <= LABEL_NAME and len(value) <= LABEL_VALUE for name, value in labels.items())


@pytest.mark.parametrize(
    "texts", [[rule["expression"] for rule in RULES], [query.expression for query in queries()]], ids=["rules", "dashboards"]
)
def test_queries_name_a_metric_and_a_short_range(texts):
    for text in texts:
        code = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
        assert not re.search(r"(?:^|[\s(])\{", code), "a selector without a metric"
        assert "__name__" not in code
        assert all(seconds_of(found) <= RANGE_DAYS * DAY for found in re.findall(r"\[(\d+[a-z]+)", code))


def test_strings_are_no_expressions_of_the_template():
    """A string that begins with a bracket is evaluated at deployment."""
    found = re.findall(r'"(\[[^"]*)"', json.dumps(GROUPS))
    assert set(found) == {f"[parameters('{name}')]" for name in TEMPLATE["parameters"]}


@pytest.mark.parametrize("severity", azure.SEVERITIES)
def test_severity_has_the_action_group_of_the_page(severity):
    (number, group) = re.search(rf"^\| `{severity}` \| (\d), \w+ \| (?:`(\w+)`)?", PAGE, re.MULTILINE).groups()
    expected = [{"actionGroupId": f"[parameters('{group}')]"}] if group else []
    alerts = [rule for rule in ALERTS.values() if rule["labels"]["severity"] == severity]
    assert alerts
    assert all((rule["severity"], rule["actions"]) == (int(number), expected) for rule in alerts)


@pytest.mark.real
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-config.yml"])
def test_promtool_accepts_the_configuration(name, tmp_path):
    """Debian's promtool has no `azuread`; the next test compares that part."""
    shown = yaml.safe_load((FILES / name).read_text())
    for one in shown.get("remote_write", ()):
        del one["azuread"]
    (tmp_path / name).write_text(yaml.safe_dump(shown))
    command = ["promtool", "check", "config", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)  # noqa: S603 - Debian's
    assert done.returncode == 0, done.stdout + done.stderr


def test_scrapes_have_the_job_of_the_rules():
    jobs = [[one["job_name"] for one in yaml.safe_load(path.read_text())["scrape_configs"]] for path in sorted(FILES.iterdir())]
    assert jobs == [["ekm"], ["ekm"]]
