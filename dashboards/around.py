"""The lower half of the dashboard of one target: what stands around its round trip.

For: throttling, changes of the path, and the facts about key, vault and dependants.
Not for: steps and errors (see `vault`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import table

from dashboards import panels, promql, sheets
from dashboards.panels import over_time, rows
from dashboards.promql import increase, label, series
from dashboards.sheets import column, mapped
from dashboards.words import NEUTRAL, STATES, YES_NO

BUDGET: Final = f"max by (vault) ({series('ekm_request_budget_ratio')} and on (vault) {series('ekm_target_info')})"


def throttling() -> list[panels.Panel]:
    throttled = f"sum by (step) ({increase('ekm_throttled_total', 'target, step')})"
    asked = f"max by (step) ({series('ekm_retry_after_seconds')})"
    return [
        panels.bars("Throttled answers", "Answers with HTTP status 429, by step.", over_time(throttled, "{{step}}"), size=(8, 7)),
        panels.lines(
            "Asked to wait",
            "Seconds that a throttled answer asked for in Retry-After. Nothing here: nobody asked.",
            over_time(asked, "{{step}}"),
            size=(8, 7),
        ).no_value("Nobody asked."),
        panels.lines(
            "Own share of the vault's limit",
            "The exporter's own requests over the published limit of the vault, busiest ten seconds of each minute.",
            over_time(BUDGET, "{{vault}}"),
            unit="percentunit",
            size=(8, 7),
        ),
    ]


def _key_facts() -> table.Panel:
    answers = {
        "enabled": "ekm_key_enabled",
        "supported": "ekm_key_supported",
        "newest is another one": "ekm_key_rotation_pending",
        "recovery vault usable": "ekm_recovery_usable",
        "path as expected": "ekm_path_as_expected",
    }
    said = " or ".join(label(f"min by (target) ({series(metric)})", "fact", fact) for fact, metric in answers.items())
    panel = sheets.sheet(
        "Key and path: yes or no",
        "What the vault last said. A fact that is not known has no line.",
        rows(said),
        size=(8, 7),
        empty="not known",
    )
    sheets.columns(panel, {"fact": "Fact", "Value": "Answer"})
    return column(panel, "Answer", mapped(YES_NO), sheets.FILLED, ("color", {"mode": "fixed", "fixedColor": NEUTRAL}), width=90)


def facts() -> list[panels.Panel]:
    key = sheets.sheet(
        "Key",
        "The key version that was last read, kept while probes fail.",
        rows(f"max by (key, version, kty, size_bits) ({series('ekm_key_info')})"),
        size=(16, 4),
        empty="never read",
    )
    sheets.columns(key, {"key": "Key", "version": "Version", "kty": "Type", "size_bits": "Bits"})
    target = sheets.sheet(
        "How it is probed",
        "One line for each exporter: with which credential, in which mode, and seen from where.",
        rows(f"max by (instance, vault, credential, mode, generation, pin, vantage) ({series('ekm_target_info')})"),
        size=(16, 5),
        empty="not configured",
    )
    shown = ("instance", "vault", "credential", "mode", "generation", "pin", "vantage")
    sheets.columns(target, {name: name.capitalize() for name in shown})
    servers = sheets.sheet(
        "SQL Servers that depend on it",
        "As declared in the configuration.",
        rows(promql.SERVERS),
        size=(8, 5),
        empty="none declared",
    )
    sheets.columns(servers, {"sql_instance": "SQL Server", "host": "Host", "ag": "AG"})
    where = sheets.sheet(
        "Where the vault answers from",
        "Region, service version and kind of connection, from the vault's own headers.",
        rows(f"max by (region, service_version, connection) ({series('ekm_vault_info')})"),
        size=(8, 4),
        empty="not known",
    )
    sheets.columns(where, {"region": "Region", "service_version": "Service version", "connection": "Connection"})
    return [target, servers, key, where]


def path() -> list[panels.Panel]:
    changed = increase("ekm_path_changes_total", "what")
    state = panels.history(
        "Vault side over time",
        "Ready, not ready or unknown at each moment.",
        over_time(promql.STATE, "{{target}}"),
        STATES,
        (8, 7),
    )
    return [
        state,
        panels.bars("Changes of the path", "Region, connection, TLS issuer.", over_time(changed, "{{what}}"), size=(8, 7)),
        _key_facts(),
    ]
