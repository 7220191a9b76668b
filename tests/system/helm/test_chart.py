"""The Helm chart: rendered by Helm, validated against the schemas of Kubernetes, and scanned.

test_operator_kinds.py validates the kinds of the Prometheus operator. No test installs the chart.
"""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.cli.main import build_parser
from exporter.config.load import load_config
from tests.support.patience import PROGRAM_SECONDS
from tests.system.helm.charts import CASES, CHART, GOLDEN, ROOT, TOOLS, helm, rendered, values

pytestmark = pytest.mark.tools

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
OPERATORS = ("monitoring.coreos.com/", "azmonitoring.coreos.com/")
# Recommendations of checkov that the chart does not follow, with the reason.
NOT_FOLLOWED = {
    "CKV_K8S_11",  # a CPU limit causes pauses, which a probe would measure as delays of a vault
    "CKV_K8S_15",  # a digest never changes, so pulling once suffices
    "CKV_K8S_43",  # the user chooses the registry and the digest
}
WRONG = {
    "no image": {"image": {"repository": ""}},
    "a number as text": {"shards": "3"},
    "a privileged port": {"port": 443},
    "a kind that Azure's add-on lacks": {"monitor": {"kind": "ScrapeConfig", "apiGroup": "azmonitoring.coreos.com"}},
    "an argument without dashes": {"extraArgs": ["demo"]},
    "a password in the values": {"monitor": {"basicAuth": {"password": "planted"}}},
    "replicas of a StatefulSet": {"replicas": 2, "shards": 2},
    "no configuration": {"config": {}, "existingConfigMap": ""},
}


@pytest.fixture(scope="module")
def manifests():
    """The rendered objects of each case."""
    return {case: objects_of(values(case)) for case in CASES}


def objects_of(given: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(rendered(given)) if one is not None]


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] in kinds]


def pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = of_kind(objects, "Deployment", "StatefulSet")[0]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("case", CASES)
def test_rendered_chart_equals_the_golden_files(case):
    golden = GOLDEN / f"{case}.yaml"
    assert rendered(values(case)) == golden.read_text(), "if intended, run: .venv/bin/python -m tests.system.helm.charts"


def test_helm_lint_has_no_warning():
    for case, found in zip(CASES, helm("lint", *map(values, CASES)), strict=True):
        assert [one for one in found["lint"]["messages"] if one["severity"] > 1] == [], case


@pytest.mark.parametrize("version", ["1.28.0", "1.37.0"])
def test_kubernetes_schemas_accept_every_field(manifests, tmp_path, version):
    paths = [tmp_path / f"{case}.yaml" for case in CASES]
    for path in paths:
        own = [one for one in manifests[path.stem] if not one["apiVersion"].startswith(OPERATORS)]
        assert own
        path.write_text(yaml.safe_dump_all(own))
    command = [TOOLS / "kubernetes-validate", "--strict", "--quiet", "-k", version, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)  # noqa: S603 - a tool of the locked list
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def scan():
    """The report of one policy scan of all cases."""
    files = [GOLDEN / f"{case}.yaml" for case in CASES]
    command = [TOOLS / "checkov", "--framework", "kubernetes", "--output", "json", "--file", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)  # noqa: S603 - a tool of the locked list
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", CASES)
def test_policy_scan_finds_only_deliberate_omissions(scan, case):
    passed, failed = (
        [one for one in scan["results"][f"{how}_checks"] if Path(one["file_path"]).stem == case] for how in ("passed", "failed")
    )
    assert scan["summary"]["parsing_errors"] == 0
    assert len(passed) > 80
    assert {one["check_id"] for one in failed} <= NOT_FOLLOWED


def closed_objects(schema: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    schema = SCHEMA["definitions"].get(schema.get("$ref", "").removeprefix("#/definitions/"), schema)
    if "properties" in schema:
        yield place
        for name, inner in schema["properties"].items():
            yield from closed_objects(inner, (*place, name))


def with_misspelt(place: tuple[str, ...]) -> dict[str, Any]:
    given = copy.deepcopy(values("minimal"))
    inner = given
    for name in place:
        inner = inner.setdefault(name, {})
    inner["misspelt"] = True
    return given


PLACES = list(closed_objects(SCHEMA))


@pytest.fixture(scope="module")
def answers():
    """What Helm answers to each of the wrong and of the misspelt values."""
    wrong = {what: {**values("minimal"), **WRONG[what]} for what in WRONG}
    misspelt = {place: with_misspelt(place) for place in PLACES}
    given = wrong | misspelt
    return dict(zip(given, helm("render", *given.values()), strict=True))


@pytest.mark.parametrize("what", WRONG)
def test_invalid_values_are_refused(answers, what):
    assert "refused" in answers[what]


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_unknown_value_is_refused(answers, place):
    assert "misspelt" in answers[place]["refused"]


def test_defaults_and_schema_have_the_same_names():
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(SCHEMA["properties"]) - set(defaults) == {"global"}
    assert set(defaults) <= set(SCHEMA["properties"])


@pytest.mark.parametrize("case", CASES)
def test_container_starts_an_existing_command(manifests, case):
    arguments = pod(manifests[case])["containers"][0]["args"]
    parsed = build_parser().parse_args([one.replace("$(POD_INDEX)", "0") for one in arguments])
    assert parsed.handler
    assert parsed.state_dir == Path("/state/ekm")  # not the volume, to which every user may write


@pytest.mark.parametrize("case", ["minimal", "everything"])
def test_exporter_accepts_the_rendered_configuration(manifests, tmp_path, case):
    text = next(one["data"]["ekm.yml"] for one in of_kind(manifests[case], "ConfigMap"))
    (tmp_path / "sql-prod").write_text("planted")
    (tmp_path / "sql-prod").chmod(0o600)
    (tmp_path / "ekm.yml").write_text(text.replace("/etc/ekm-secrets", str(tmp_path)))
    assert load_config(tmp_path / "ekm.yml").problems == ()


def test_network_policy_allows_sql_servers_on_their_own_port_by_a_value():
    peers = [{"ipBlock": {"cidr": "10.4.0.0/16"}}]
    (policy,) = of_kind(objects_of({**values("minimal"), "networkPolicy": {"sqlServers": peers}}), "NetworkPolicy")
    assert policy["spec"]["egress"][2:] == [{"ports": [{"port": 1433, "protocol": "TCP"}], "to": peers}]


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor", "ScrapeConfig"])
def test_monitor_sets_the_job_of_the_rules(kind):
    given = {**values("minimal"), "monitor": {"kind": kind}}
    monitor = of_kind(objects_of(given), kind)[0]["spec"]
    scrape = monitor if kind == "ScrapeConfig" else (monitor.get("endpoints") or monitor["podMetricsEndpoints"])[0]
    assert {"targetLabel": "job", "replacement": "ekm"} in scrape["relabelings"]


LIVE, READY = {"path": "/-/healthy", "port": "http", "scheme": "HTTP"}, {"path": "/-/ready", "port": "http", "scheme": "HTTP"}
HEADERS = [{"name": "Authorization", "value": "Basic cGxhbnRlZA=="}]
REQUESTED = {  # the values, and the resulting liveness and readiness probes
    "nothing": ({}, {"httpGet": LIVE, "periodSeconds": 30, "timeoutSeconds": 5}, {"httpGet": READY, "periodSeconds": 5, "timeoutSeconds": 5}),
    "a password": (
        {"httpGet": {"httpHeaders": HEADERS}},
        {"httpGet": {**LIVE, "httpHeaders": HEADERS}, "periodSeconds": 30, "timeoutSeconds": 5},
        {"httpGet": {**READY, "httpHeaders": HEADERS}, "periodSeconds": 5, "timeoutSeconds": 5},
    ),
    "a connection": (
        {"tcpSocket": {"port": "http"}, "timeoutSeconds": 2},
        {"tcpSocket": {"port": "http"}, "periodSeconds": 30, "timeoutSeconds": 2},
        {"tcpSocket": {"port": "http"}, "periodSeconds": 5, "timeoutSeconds": 2},
    ),
    "a program": (
        {"exec": {"command": ["python", "-c", ""]}},
        {"exec": {"command": ["python", "-c", ""]}, "periodSeconds": 30, "timeoutSeconds": 5},
        {"exec": {"command": ["python", "-c", ""]}, "periodSeconds": 5, "timeoutSeconds": 5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REQUESTED)
def test_container_probes_follow_the_values(what):
    given, live, ready = REQUESTED[what]
    container = pod(objects_of({**values("minimal"), "livenessProbe": given, "readinessProbe": given}))["containers"][0]
    assert (container["livenessProbe"], container["readinessProbe"]) == (live, ready)


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor", "ScrapeConfig"])
def test_monitor_has_the_configured_credentials(kind):
    access = {
        "tlsConfig": {"ca": {"secret": {"name": "ekm-web", "key": "ca.pem"}}, "serverName": "ekm"},
        "basicAuth": {
            "username": {"name": "ekm-scrape", "key": "username"},
            "password": {"name": "ekm-scrape", "key": "password"},
        },
        "authorization": {"credentials": {"name": "ekm-scrape", "key": "token"}},
    }
    for given in ({}, access):
        monitor = of_kind(
            objects_of({**values("minimal"), "web": {"scheme": "https"}, "monitor": {"kind": kind, **given}}), kind
        )[0]["spec"]
        scrape = monitor if kind == "ScrapeConfig" else (monitor.get("endpoints") or monitor["podMetricsEndpoints"])[0]
        assert scrape["scheme"].lower() == "https"
        assert {name: scrape[name] for name in access if name in scrape} == given


@pytest.mark.parametrize("page", ["install", "securing"])
def test_values_of_a_page_are_accepted(page):
    shown = [
        yaml.safe_load(one)
        for one in re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE)
    ]
    exporter_runs = [one for one in shown if set(one) <= set(SCHEMA["properties"])]
    assert exporter_runs
    for one in exporter_runs:
        given = json.loads(json.dumps({**values("minimal"), **one}, default=str).replace("sha256:\\u2026", f"sha256:{'0' * 64}"))
        assert rendered(given)


def test_rules_are_the_shipped_ones():
    objects = objects_of({**values("minimal"), "rules": {"enabled": True}})
    shipped = yaml.safe_load((ROOT / "alerts" / "prometheus-rule.yaml").read_text())
    assert of_kind(objects, "PrometheusRule")[0]["spec"] == shipped["spec"]


def test_dashboards_are_the_shipped_ones():
    objects = objects_of({**values("minimal"), "dashboards": {"enabled": True}})
    found = {name: text for one in of_kind(objects, "ConfigMap") for name, text in one["data"].items() if name.endswith(".json")}
    assert found == {path.name: path.read_text() for path in (ROOT / "dashboards").glob("*.json")}


def test_pod_has_the_dns_options_of_the_values():
    other = {"nameservers": ["10.1.2.3"], "options": [{"name": "ndots", "value": "2"}]}
    assert pod(objects_of({**values("minimal"), "dnsConfig": other}))["dnsConfig"] == other
    assert "dnsConfig" not in pod(objects_of({**values("minimal"), "dnsConfig": None}))
