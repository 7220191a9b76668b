"""PrometheusRule, ServiceMonitor, PodMonitor and ScrapeConfig of alerts, chart and deploy/prometheus, validated with the operator's own types.

The types are those of @kubernetes-models/prometheus-operator, which is generated from the Go types of the operator.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.patience import PROGRAM_SECONDS
from tests.system.helm.charts import CASES, GOLDEN, ROOT, TOOLS, rendered, values

pytestmark = pytest.mark.tools

VALIDATOR = Path(__file__).with_name("operator_kinds.mjs")
FILES = [ROOT / "alerts" / "prometheus-rule.yaml", *sorted((ROOT / "deploy" / "prometheus").glob("*.scrapeconfig.yml"))]
MONITORS = ("ServiceMonitor", "PodMonitor", "ScrapeConfig")
ACCESS = {
    "tlsConfig": {
        "ca": {"secret": {"name": "ekm-web", "key": "ca.pem"}},
        "cert": {"secret": {"name": "ekm-web", "key": "client.pem"}},
        "keySecret": {"name": "ekm-web", "key": "client.key"},
        "serverName": "ekm",
        "insecureSkipVerify": False,
        "minVersion": "TLS12",
        "maxVersion": "TLS13",
    },
    "basicAuth": {"username": {"name": "ekm-scrape", "key": "username"}, "password": {"name": "ekm-scrape", "key": "password"}},
    "authorization": {"type": "Bearer", "credentials": {"name": "ekm-scrape", "key": "token"}},
}


def reasons(objects: list[dict[str, Any]]) -> list[str | None]:
    """Return for each object why it is invalid, or None."""
    command = ["node", VALIDATOR, TOOLS.parent / "node_modules"]
    done = subprocess.run(  # noqa: S603 - a file of the project
        command, input=json.dumps(objects), capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS
    )
    assert done.returncode == 0, done.stderr
    found: list[str | None] = json.loads(done.stdout)
    return found


def of_operator(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one and "monitoring.coreos.com/" in one["apiVersion"]]


def with_every_option(kind: str, **more: Any) -> dict[str, Any]:
    given = {**values("minimal"), "web": {"scheme": "https"}, "monitor": {"kind": kind, "interval": "30s", **ACCESS, **more}}
    (found,) = of_operator(rendered(given))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_file_is_valid(path):
    objects = of_operator(path.read_text())
    assert objects
    assert reasons(objects) == [None] * len(objects)


def test_chart_with_every_file_of_values_is_valid():
    objects = [one for case in CASES for one in of_operator((GOLDEN / f"{case}.yaml").read_text())]
    assert {one["kind"] for one in objects} == {"ServiceMonitor", "PodMonitor", "ScrapeConfig"}
    assert reasons(objects) == [None] * len(objects)


def test_chart_with_every_option_is_valid():
    rules = of_operator(rendered({**values("minimal"), "rules": {"enabled": True, "labels": {"release": "kube"}}}))
    objects = [*rules, *(with_every_option(kind, labels={"release": "kube"}) for kind in MONITORS)]
    assert reasons(objects) == [None] * 4


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_monitor_for_azure_differs_in_group_and_limits(kind):
    """Azure's add-on has the types of the operator in a group of its own, and drops a monitor without these limits."""
    azure, usual = with_every_option(kind, apiGroup="azmonitoring.coreos.com"), with_every_option(kind)
    assert azure["apiVersion"] == "azmonitoring.coreos.com/v1"
    limits = {"labelLimit": 63, "labelNameLengthLimit": 511, "labelValueLengthLimit": 1023}
    assert azure["spec"] == {**usual["spec"], **limits}
    assert reasons([{**azure, "apiVersion": "monitoring.coreos.com/v1"}]) == [None]


def test_sign_in_of_remote_write_has_the_fields_of_the_operator():
    """deploy/azure sends to an Azure Monitor workspace. The operator has the fields of Prometheus in camel case."""
    (sent,) = yaml.safe_load((ROOT / "deploy" / "azure" / "prometheus.yml").read_text())["remote_write"]
    renamed = {"managed_identity": "managedIdentity", "client_id": "clientId"}

    def camel(value: Any) -> Any:
        return {renamed.get(name, name): camel(one) for name, one in value.items()} if isinstance(value, dict) else value

    def prometheus(sign_in: dict[str, Any]) -> dict[str, Any]:
        spec = {"remoteWrite": [{"url": sent["url"], "azureAd": sign_in}]}
        return {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "ekm"}, "spec": spec}

    valid = camel(sent["azuread"])
    found = reasons([prometheus(valid), prometheus({**valid, "cloud": "Azure"}), prometheus(sent["azuread"])])
    assert [one is None for one in found] == [True, False, False]
