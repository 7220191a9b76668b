"""Runbooks are read at three in the morning: what they name exists, what they tell to run can be run, and nothing is left out."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import sqlglot
import yaml

from exporter.cli.main import build_parser
from exporter.core.auxiliary import CREDENTIAL_REFUSED
from exporter.core.checks import CHECKS
from exporter.core.classify import VAULT_REASONS
from exporter.core.codes import BY_CODE, both_numbers
from exporter.core.faults import Reason
from exporter.core.model import Mode, Outcome, Phase, Step
from exporter.core.readiness import EXPORTER_SIDE
from exporter.metrics.definitions import BY_NAME, PATH_PARTS
from exporter.metrics.self_metrics import SKIP_REASONS

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "alerts"
RUNBOOKS = sorted((ALERTS / "runbooks").glob("*.md"))
RULES = [rule for group in yaml.safe_load((ALERTS / "ekm.rules.yml").read_text())["groups"] for rule in group["rules"]]
SECTIONS = ["Meaning", "Impact on SQL Server", "Diagnosis", "Mitigation", "How to tell that it worked"]

every_runbook = pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)

# What stands between backticks in lower case and with underscores is one of these.
LABELS = {label for spec in BY_NAME.values() for label in spec.labels} | {"job", "instance", "env", "team"}
SETTINGS = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "configuration.md").read_text()))
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
FOREIGN = {"process_cpu_seconds_total", "process_start_time_seconds", "alertmanager_notifications_failed_total", "modify_date"}
OWN_LABELS = {"problem", "date_passed", "sources_disagree", "lookup_fails", "state"}
WORDS = (
    {*OWN_LABELS, *Reason, *Step, *Phase, *Mode, *Outcome, *SKIP_REASONS, *PATH_PARTS, *LABELS, *SETTINGS, *FOREIGN, *BY_NAME}
    | {check.name for check in CHECKS}
    | {"declared", "graph", "key_vault", "certificate"}
)  # fmt: skip

_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_METRIC = re.compile(r"\b(?:ekm|mssql)_\w+|\b\w+:ekm_[\w:]+")
_NUMBER = re.compile(r"(?<![\w.,])(?:2\d{3}|3\d{3}|4000)(?![\w.,]\d|\w)")
_BITS = {"2048", "3072"}


def prose(text: str) -> str:
    """Without blocks of code."""
    return _FENCE.sub("", text)


def blocks(text: str, language: str) -> list[str]:
    return [body for _, kind, body in _FENCE.findall(text) if kind == language]


def commands(text: str) -> Iterator[str]:
    """Everything that begins with the name of our program, in a line of a block or between backticks."""
    lines = [line.strip() for block in blocks(text, "sh") for line in block.splitlines()]
    yield from (each for each in [*lines, *_SPAN.findall(prose(text))] if re.match(r"ekm-exporter\b", each))


def section(text: str, name: str) -> str:
    return text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@every_runbook
def test_a_runbook_is_named_as_its_alert_and_has_its_sections_in_order(runbook):
    headings = re.findall(r"^(#+) (.+)$", prose(runbook.read_text()), re.MULTILINE)
    assert headings == [("#", runbook.stem), *(("##", name) for name in SECTIONS)]
    assert all(section(runbook.read_text(), name).strip() for name in SECTIONS)


@every_runbook
def test_its_commands_are_understood_by_the_program(runbook):
    for command in commands(runbook.read_text()):
        arguments = shlex.split(command)[1:]
        if arguments in ([], ["probe"], ["check"], ["--version"]):  # the name of a command alone, in a sentence
            continue
        errors = io.StringIO()
        try:
            with contextlib.redirect_stderr(errors):
                build_parser().parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{command}: {errors.getvalue()}")


def test_a_command_that_does_not_exist_would_be_found():
    assert list(commands("```sh\nekm-exporter prove X\n```\n`ekm-exporter probe X`")) == [
        "ekm-exporter prove X",
        "ekm-exporter probe X",
    ]
    with pytest.raises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        build_parser().parse_args(["prove", "X"])


@every_runbook
def test_every_runbook_has_a_command_and_a_query(runbook):
    text = section(runbook.read_text(), "Diagnosis")
    assert blocks(text, "promql")
    assert "ekm-exporter " in runbook.read_text() or "rollover.md" in runbook.read_text()


@every_runbook
def test_its_queries_are_promql_over_metrics_that_exist(runbook):
    text = runbook.read_text()
    for query in blocks(text, "promql"):
        promql_parser.parse(query)
    known = {*BY_NAME, *RECORDED, *(f"{name}{part}" for name in BY_NAME for part in ("_bucket", "_count", "_sum"))}
    assert set(_METRIC.findall(text)) - known == set()


@every_runbook
def test_a_query_that_names_a_code_names_its_twin(runbook):
    for query in blocks(runbook.read_text(), "promql"):
        for matched in re.findall(r'code=~?"([^"]+)"', query):
            codes = {int(code) for code in matched.split("|")}
            assert {BY_CODE[code].counterpart or code for code in codes} == codes


@every_runbook
def test_codes_exist_and_are_written_with_their_twin(runbook):
    text = re.sub(
        r"\d\d\d0-\d\d-\d\dT\S+|`ekm-exporter explain \d+`|15\.0\.2000\.440", "", " ".join(prose(runbook.read_text()).split())
    )
    for code in {number for number in _NUMBER.findall(text) if number not in _BITS}:
        assert int(code) in BY_CODE, f"{code} is no code"
        written = both_numbers(int(code))
        twin = BY_CODE[int(code)].counterpart
        if twin is not None and BY_CODE[int(code)].generation == "classic":
            assert text.count(code) == text.count(written), f"write {written}"
        elif twin is not None:
            assert text.count(code) == text.count(both_numbers(twin)), f"write {both_numbers(twin)}"


@every_runbook
def test_words_of_the_product_are_spelt_as_the_product_spells_them(runbook):
    """A reason, step, metric, label or setting between backticks; `tls_*` stands for all that begin so."""
    for word in _SPAN.findall(prose(runbook.read_text())):
        if re.fullmatch(r"[a-z]+_\*", word):
            assert any(reason.startswith(word[:-1]) for reason in Reason), word
        elif re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", word):
            assert word in WORDS, word


@every_runbook
def test_its_sql_can_be_read(runbook):
    for statement in blocks(runbook.read_text(), "sql"):
        assert all(sqlglot.parse(statement, read="tsql"))


@every_runbook
def test_its_links_lead_somewhere(runbook):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", runbook.read_text()):
        assert (runbook.parent / link).exists(), link


@every_runbook
def test_it_stays_short(runbook):
    lines = runbook.read_text().splitlines()
    assert len(lines) <= 100
    assert max(map(len, lines)) <= 140


def told_apart(text: str) -> set[Reason]:
    """The reasons that a diagnosis names."""
    words = _SPAN.findall(section(text, "Diagnosis"))
    prefixes = tuple(word[:-1] for word in words if re.fullmatch(r"[a-z]+_\*", word))
    return {reason for reason in Reason if reason in words or (prefixes and reason.startswith(prefixes))}


def reasons_of(rule: dict) -> set[Reason]:
    """Those that the expression of an alert asks for."""
    patterns = re.findall(r'reason=~?"([^"]+)"', rule["expr"])
    return {reason for reason in Reason if any(re.fullmatch(pattern, reason) for pattern in patterns)}


@pytest.mark.parametrize("rule", [rule for rule in RULES if "alert" in rule and reasons_of(rule)], ids=lambda rule: rule["alert"])
def test_every_reason_for_which_an_alert_fires_is_told_apart_in_its_diagnosis(rule):
    assert reasons_of(rule) - told_apart((ALERTS / "runbooks" / f"{rule['alert']}.md").read_text()) == set()


REASONS = {
    "EkmForbiddenSpike": {rule.reason for rule in VAULT_REASONS if rule.statuses == (403,)}
    | {Reason.FORBIDDEN, Reason.PROXY_STATUS},
    "EkmCredentialRefused": CREDENTIAL_REFUSED,
    "EkmThrottledSpike": {Reason.THROTTLED, Reason.PROXY_STATUS},
    # The rest has a page of its own, or says nothing of the vault.
    "EkmVaultSideNotReady": set(Reason)
    - CREDENTIAL_REFUSED
    - {rule.reason for rule in VAULT_REASONS if rule.statuses == (403,)}
    - {Reason.FORBIDDEN, Reason.THROTTLED, Reason.KEY_SOFT_DELETED, Reason.CLOCK_SKEW}
    - set(EXPORTER_SIDE),
}


@pytest.mark.parametrize("name", REASONS)
def test_a_diagnosis_knows_every_reason_that_can_be_met(name):
    assert REASONS[name] - told_apart((ALERTS / "runbooks" / f"{name}.md").read_text()) == set()


@every_runbook
def test_a_diagnosis_begins_with_the_reason_or_says_that_there_is_none(runbook):
    first = " ".join(section(runbook.read_text(), "Diagnosis").strip().split("\n\n")[0].split())
    assert re.search(r"`reason`|reason\b", first)
