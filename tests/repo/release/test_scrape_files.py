"""The scrape configurations of deploy/prometheus are named on the page and valid."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.repo.deploy.test_starter import accepted

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "prometheus"
PAGE = (ROOT / "docs" / "placement.md").read_text()
FILES = ["ekm-metrics.yml", "ekm-probe.yml", "ekm-shards.yml"]
OPERATOR = [name.replace(".yml", ".scrapeconfig.yml") for name in FILES]
# Fields of the operator's ScrapeConfig under the names of Prometheus.
SAME = {
    "metricsPath": "metrics_path", "httpSDConfigs": "http_sd_configs", "staticConfigs": "static_configs", "relabelings": "relabel_configs",
    "metricRelabelings": "metric_relabel_configs", "honorLabels": "honor_labels", "sourceLabels": "source_labels", "targetLabel": "target_label",
}  # fmt: skip


def test_page_names_every_file():
    assert {path.name for path in FOLDER.iterdir()} == {*FILES, *OPERATOR, "prometheus.yml"}
    assert [name for name in (*FILES, *OPERATOR) if f"(../deploy/prometheus/{name})" not in PAGE] == []


SHIPPED = [
    *FOLDER.glob("*.yml"), *(ROOT / "deploy" / "azure").glob("prometheus*.yml"), ROOT / "deploy" / "starter" / "prometheus.yml",
    *(ROOT / "tests" / "system" / "helm" / "golden").glob("*.yaml"),
    *(ROOT / "docs" / f"{name}.md" for name in ("from-blackbox", "install")),
]  # fmt: skip


def scrapes(path: Path) -> list[Any]:
    """Return the scrape jobs and the endpoints of monitors in a file, or in the blocks of a page."""
    text = path.read_text()
    blocks = re.findall(r"```yaml\n(scrape_configs:.*?)```", text, re.DOTALL) if path.suffix == ".md" else [text]
    found: list[Any] = []
    for one in (document for block in blocks for document in yaml.safe_load_all(block)):
        if one.get("kind") == "ScrapeConfig":
            found.append(one["spec"])
        elif one.get("kind") in ("ServiceMonitor", "PodMonitor"):
            found += one["spec"].get("endpoints") or one["spec"]["podMetricsEndpoints"]
        found += one.get("scrape_configs", [])
    return found


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_labels_of_a_target_win_over_labels_of_the_scrape_job(path):
    jobs = scrapes(path)
    assert all(job.get("honor_labels") or job.get("honorLabels") for job in jobs)
    assert jobs or path.parent.name == "golden"


def renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {SAME.get(name, name): renamed(one) for name, one in value.items()}
    return [renamed(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("operator", "name"), list(zip(OPERATOR, FILES, strict=True)))
def test_scrape_configs_of_the_operator_are_the_same_jobs(operator, name):
    """The operator names a job after the object, so the first relabelling sets the name."""
    jobs = []
    for one in yaml.safe_load_all((FOLDER / operator).read_text()):
        job = renamed(one["spec"])
        named, *others = job.pop("relabel_configs")
        assert named == {"target_label": "job", "replacement": named["replacement"]}
        jobs.append({"job_name": named["replacement"], **job, **({"relabel_configs": others} if others else {})})
    assert jobs == yaml.safe_load((FOLDER / name).read_text())["scrape_configs"]


@pytest.mark.real
@pytest.mark.parametrize("name", FILES)
def test_promtool_accepts_a_single_file(name):
    accepted("promtool", "check", "config", FOLDER / name)
