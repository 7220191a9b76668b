"""The rules as an ARM template for Azure Managed Prometheus: rule groups of type Microsoft.AlertsManagement/prometheusRuleGroups.

Azure's limits: groups of at most 20 rules, at most one evaluation a minute, `timeToResolve` of at most 15 minutes instead of
`keep_firing_for`, and no queries in annotations. Action groups replace the routes: one for pages, one for tickets, none for information.
docs/azure-monitor.md explains it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import yaml

from alerts import document
from alerts.values import DOCS, SITE, seconds_of

SEVERITIES: Final = {"critical": 0, "warning": 2, "info": 3}  # as Azure names them
ACTIONS: Final = {"critical": ["actionGroup"], "warning": ["ticketActionGroup"], "info": []}
TAGS: Final = {"application": "ekm-exporter"}
_SCHEMA: Final = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_PARAMETERS: Final = {
    "azureMonitorWorkspace": {"type": "string", "metadata": {"description": "Resource id of the Azure Monitor workspace."}},
    "actionGroup": {"type": "string", "metadata": {"description": "Resource id of the action group for pages."}},
    "ticketActionGroup": {
        "type": "string",
        "defaultValue": "[parameters('actionGroup')]",
        "metadata": {"description": "Resource id of the action group for tickets."},
    },
    "location": {"type": "string", "defaultValue": "[resourceGroup().location]"},
}


def template(rules: str) -> str:
    """Return the ARM template as JSON, from the text of the rule file."""
    described = {alert.name: alert for alert in document.alerts(rules)}
    contents = {
        "$schema": _SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": _PARAMETERS,
        "resources": [_group(group, described) for group in yaml.safe_load(rules)["groups"]],
    }
    return json.dumps(contents, indent=2, ensure_ascii=False) + "\n"


def _group(group: Mapping[str, Any], described: Mapping[str, document.Alert]) -> dict[str, Any]:
    return {
        "type": "Microsoft.AlertsManagement/prometheusRuleGroups",
        "apiVersion": "2023-03-01",
        "name": group["name"],
        "location": "[parameters('location')]",
        "tags": TAGS,
        "properties": {
            "enabled": True,
            "scopes": ["[parameters('azureMonitorWorkspace')]"],
            "interval": _minutes(group["interval"]),
            "rules": [_alert(rule, described[rule["alert"]]) if "alert" in rule else _record(rule) for rule in group["rules"]],
        },
    }


def _record(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {"record": rule["record"], "expression": rule["expr"]} | ({"labels": rule["labels"]} if "labels" in rule else {})


def _alert(rule: Mapping[str, Any], described: document.Alert) -> dict[str, Any]:
    notes = rule["annotations"]
    return {
        "alert": rule["alert"],
        "expression": rule["expr"],
        **({"for": f"PT{seconds_of(rule['for']) / 60:.0f}M"} if "for" in rule else {}),
        "severity": SEVERITIES[rule["labels"]["severity"]],
        "labels": rule["labels"],
        "annotations": {
            "summary": notes["summary"],
            "description": f"{described.when} First: {described.first}",
            "runbook_url": notes["runbook_url"].replace(DOCS, SITE),
        },
        "enabled": True,
        "resolveConfiguration": {"autoResolved": True, "timeToResolve": _minutes(rule.get("keep_firing_for", "1m"))},
        "actions": [{"actionGroupId": f"[parameters('{name}')]"} for name in ACTIONS[rule["labels"]["severity"]]],
    }


def _minutes(duration: str) -> str:
    """Return an ISO 8601 duration, between Azure's limits of 1 and 15 minutes."""
    return f"PT{min(max(round(seconds_of(duration) / 60), 1), 15)}M"
