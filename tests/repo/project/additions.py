"""One addition for rows of CONTRIBUTING's table "Adding something": the edits that the row lists."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A text in front of another one, which occurs once in the file; a new file if that is empty.

    `noticed` is the test that fails without the edit and names what is missing; empty for an edit that others depend on.
    """

    path: str
    before: str = ""
    text: str
    noticed: str = ""


@dataclass(frozen=True, kw_only=True)
class Addition:
    """`row` is the first cell of the row, `name` what is added."""

    row: str
    name: str
    edits: tuple[Edit, ...]


REASON = Addition(
    row="a reason",
    name="key_blocked",
    edits=(
        Edit(
            path="exporter/knowledge/reasons_vault.py",
            before='    _state(\n        "key_disabled"',
            text='    _key("key_blocked", "the vault blocks the key", markers=(inner_code("KeyBlocked", "key is blocked"),)).advising(*AGAIN),\n',
        ),
        Edit(
            path="exporter/simulator/errors.py",
            before='    "key_disabled": ServiceError(',
            text='    "key_blocked": ServiceError(403, "Forbidden", "Operation {operation} is refused.", "KeyBlocked"),\n',
        ),
        Edit(
            path="exporter/simulator/scenarios.py",
            before='    Scenario("key_disabled", ',
            text='    Scenario("key_blocked", "vault_key_blocked", _VAULT, _GET, 3077, 3113, _R.KEY_BLOCKED, "The vault blocks the key."),\n',
            noticed="tests/integration/simulator/test_scenario_table.py::test_every_reason_has_a_scenario",
        ),
        Edit(
            path="tests/unit/knowledge/promised.py",
            before='    "KeyDisabled": ',
            text='    "KeyBlocked": Reason("key_blocked"),\n',
            noticed="tests/unit/knowledge/test_classify.py::test_each_reason_has_a_promise",
        ),
    ),
)

METRIC = Addition(
    row="a metric of a target",
    name="ekm_key_in_hsm",
    edits=(
        Edit(
            path="exporter/metrics/target_families.py",
            before='    KEY.family(\n        "ekm_key_enabled"',
            text='    KEY.family("ekm_key_in_hsm", lambda of: one(of.kty.endswith("-HSM")), Retention.LAST_KNOWN, "1 if an HSM keeps the key version, else 0."),\n',
        ),
        Edit(
            path="tests/unit/metrics/reference.py",
            before='                "ekm_key_enabled": ',
            text='                "ekm_key_in_hsm": "-HSM" in key.kty,\n',
            noticed="tests/unit/metrics/test_text.py::test_a_scrape_equals_the_output_of_prometheus_client",
        ),
    ),
)

SETTING = Addition(
    row="a setting",
    name="review_on",
    edits=(
        Edit(
            path="exporter/config/settings.py",
            before="    backup_on: ",
            text='    review_on: date | None = setting(types.DATE, "Day on which the owner of the key reviews it.")\n',
        ),
        Edit(
            path="exporter/config/load.py",
            before="    yield target.backup_on is not None",
            text='    is_past = target.review_on is not None and target.review_on < today\n    yield is_past, "review_on", "is past: review the key"\n',
            noticed="tests/unit/config/test_documentation.py::test_every_setting_is_read",
        ),
        Edit(
            path="tests/unit/config/good/everything.yml",
            before="    backup_on: ",
            text="    review_on: 2027-01-31\n",
            noticed="tests/unit/config/test_load.py::test_an_example_has_every_setting",
        ),
    ),
)

_RULE = """\
      # When: No HSM keeps the key version.
      # After: 15 minutes.
      # Why: The key can leave the vault in a backup.
      # First: Let the owner of the key create one in an HSM.
      - alert: EkmKeyOutsideHsm
        expr: target:ekm_target_info:labels and on (job, instance, target) ekm_key_in_hsm == 0
        for: @{LASTING}
        keep_firing_for: @{HOLD_TICKET}
        labels: {severity: warning}
        annotations:
          summary: No HSM keeps a key.
          description: >-
            @{TARGET}: no HSM keeps the key version. First: let the owner of the key create one in an HSM.
          runbook_url: "@{RUNBOOKS}/EkmKeyOutsideHsm.md"
          dashboard_url: "@{DASHBOARDS}/ekm-expiry?var-target={{ $labels.target | urlquery }}"
"""
_RUNBOOK = """\
# EkmKeyOutsideHsm

## What is at risk

Nothing fails. A backup of the key can leave the vault.

## What happened

The vault keeps the key version in software.

## What to do first

Let the owner of the key create one in an HSM.

## Diagnosis

There is no `reason`, because nothing fails.

```promql
ekm_key_in_hsm == 0
```

## Fix

Create the key in an HSM, then rotate to it.

## How to verify

`ekm-exporter probe TARGET --config.file ekm.yml` shows the type of the key.
"""
ALERT = Addition(
    row="an alert",
    name="EkmKeyOutsideHsm",
    edits=(
        Edit(
            path="alerts/ekm.rules.template.yml",
            before="\n  - name: ekm-tickets-exporter\n",
            text=_RULE,
        ),
        Edit(
            path="alerts/runbooks/EkmKeyOutsideHsm.md",
            text=_RUNBOOK,
            noticed="tests/system/alerts/test_rules.py::test_runbooks_and_alerts_match",
        ),
        Edit(
            path="tests/system/alerts/cases/tickets.py",
            before='        ("EkmPathNotAsExpected", ',
            text='        ("EkmKeyOutsideHsm", {"ekm_key_in_hsm": _bad(0, 1)}, {}),\n',
            noticed="tests/system/alerts/test_cases.py::test_every_alert_begins_and_ends_in_a_case",
        ),
    ),
)

ADDITIONS: Mapping[str, Addition] = {each.row: each for each in (REASON, METRIC, SETTING, ALERT)}
