"""The lower half of the dashboard of one target: history, errors, throttling, network path, key and dependants."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import table

from dashboards import frame, panels, promql, sheets
from dashboards.panels import over_time, rows
from dashboards.promql import increase, label, series
from dashboards.sheets import column, mapped
from dashboards.words import CODES, STATES, YES_NO

BUDGET: Final = f"max by (vault) ({series('ekm_request_budget_ratio')} and on (vault) {series('ekm_target_info')})"


def histories() -> list[panels.Panel]:
    state = panels.history(
        "Vault side over time",
        "Ready, not ready or unknown at each moment.",
        over_time(promql.STATE, "{{target}}"),
        STATES,
        (24, 4),
    )
    codes = panels.history(
        "Code over time",
        "The code of each probe, coloured by the category of the failure. The legend has both numbers of a code.",
        over_time(f"max by (target) ({series('ekm_last_error_code')})", "{{target}}"),
        CODES,
        (24, 4),
    )
    return [state, codes]


def errors() -> list[panels.Panel]:
    failed = f"sum by (code) ({increase('ekm_errors_total', 'target, step, code')}) > 0"
    over_range = f"sum by (step, code) ({increase('ekm_errors_total', 'target, step, code', '$__range')}) > 0.5"
    meant = promql.first_sentence(promql.with_meaning(over_range, "summary"), "summary")
    listed = sheets.sheet(
        "Errors in the chosen time range",
        "Failed steps by the code that SQL Server would show, with its meaning. Empty if no step failed.",
        rows(promql.with_page(meant)),
        empty="No step failed.",
    )
    sheets.columns(listed, {"code": "Code", "step": "Step", "summary": "What it means", "Value": "Failures", "page": "Page"})
    frame.code_column(listed)
    column(listed, "Step", width=100)
    column(listed, "What it means", *sheets.WRAPPED)
    column(listed, "Failures", *sheets.COUNT, width=85)
    return [
        panels.bars(
            "Errors by code",
            "Failed steps over time by code and symbol. Empty if no step failed.",
            over_time(promql.with_meaning(failed, "symbol"), "{{code}} {{symbol}}"),
        ).no_value("No step failed."),
        listed,
    ]


def throttling() -> list[panels.Panel]:
    throttled = f"sum by (step) ({increase('ekm_throttled_total', 'target, step')})"
    waits = f"max by (step) ({series('ekm_retry_after_seconds')})"
    return [
        panels.bars(
            "Throttled responses",
            "Responses with HTTP status 429, by step. Empty if no response was throttled.",
            over_time(f"{throttled} > 0", "{{step}}"),
            size=(8, 7),
        ).no_value("No response was throttled."),
        panels.lines(
            "Retry-After",
            "Wait time in the Retry-After header of throttled responses. Empty without such a header.",
            over_time(waits, "{{step}}"),
            size=(8, 7),
        ).no_value("No Retry-After received."),
        panels.lines(
            "Request budget",
            "The exporter's own requests over the published limit of the vault, busiest ten seconds of each minute. The query of "
            "`ekm-exporter script callers.kql` shows the other clients.",
            over_time(BUDGET, "{{vault}}"),
            unit="percentunit",
            size=(8, 7),
        ),
    ]


def _key_facts() -> table.Panel:
    answers = {
        "enabled": "ekm_key_enabled",
        "supported": "ekm_key_supported",
        "recovery vault usable": "ekm_recovery_usable",
        "path as expected": "ekm_path_as_expected",
    }
    known = [label(f"min by (target) ({series(metric)})", "fact", fact) for fact, metric in answers.items()]
    newest = label(f"1 - max by (target) ({series('ekm_key_rotation_pending')})", "fact", "newest version in use")
    expression = " or ".join((*known, newest))
    panel = sheets.sheet(
        "Key and path: yes or no",
        "Last known facts. An unknown fact has no line.",
        rows(expression),
        size=(8, 7),
        empty="not known",
    )
    sheets.columns(panel, {"fact": "Fact", "Value": "Answer"})
    return column(panel, "Answer", mapped(YES_NO), sheets.FILLED, width=90)


def facts() -> list[panels.Panel]:
    key = sheets.sheet(
        "Key",
        "The key version that was last read, kept while probes fail.",
        rows(f"max by (key, version, kty, size_bits) ({series('ekm_key_info')})"),
        size=(16, 4),
        empty="never read",
    )
    sheets.columns(key, {"key": "Key", "version": "Version", "kty": "Type", "size_bits": "Bits"})
    column(key, "Version", width=320)
    target = sheets.sheet(
        "Probe configuration",
        "One line for each exporter, with credential, mode and vantage.",
        rows(f"max by (instance, vault, credential, mode, generation, pin, vantage) ({series('ekm_target_info')})"),
        size=(16, 5),
        empty="not configured",
    )
    shown = ("instance", "vault", "credential", "mode", "generation", "pin", "vantage")
    sheets.columns(target, {name: name.capitalize() for name in shown} | {"instance": "Exporter"})
    column(target, "Exporter", width=130)
    column(target, "Vault", width=240)
    servers = sheets.sheet(
        "Dependent SQL Servers",
        "As declared in the configuration.",
        rows(promql.SERVERS),
        size=(8, 5),
        empty="none declared",
    )
    sheets.columns(servers, {"sql_instance": "SQL Server", "host": "Host", "ag": "AG"})
    where = sheets.sheet(
        "Vault location",
        "Region, service version and kind of connection, from the headers of the vault's responses.",
        rows(f"max by (region, service_version, connection) ({series('ekm_vault_info')})"),
        size=(8, 4),
        empty="not known",
    )
    sheets.columns(where, {"region": "Region", "service_version": "Service version", "connection": "Connection"})
    return [target, servers, key, where]


def path() -> list[panels.Panel]:
    changes = panels.bars(
        "Network path changes",
        "Changes of region, connection and TLS issuer. Empty if the path did not change.",
        over_time(f"{increase('ekm_path_changes_total', 'what')} > 0", "{{what}}"),
        size=(16, 7),
    )
    return [changes.no_value("The network path did not change."), _key_facts()]
