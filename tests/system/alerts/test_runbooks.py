"""Runbooks: the names in them exist, the commands parse, and every reason of an alert is covered."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml

from exporter.cli.main import build_parser
from exporter.core.values import Mode, Outcome, Phase, Step
from exporter.knowledge.checks import CHECKS
from exporter.knowledge.checks_host import SQL
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.knowledge.reasons import Reason
from exporter.metrics.counters import PATH_PARTS
from exporter.metrics.families import BY_NAME
from exporter.metrics.own import SKIP_REASONS
from exporter.sqlserver.differences import TEXTS

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "alerts"
RUNBOOKS = sorted((ALERTS / "runbooks").glob("*.md"))
RULES = [rule for group in yaml.safe_load((ALERTS / "ekm.rules.yml").read_text())["groups"] for rule in group["rules"]]
SECTIONS = ["What is at risk", "What happened", "What to do first", "Diagnosis", "Fix", "How to verify"]

every_runbook = pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)

# A code span in lower case and with underscores is one of these.
LABELS = {label for spec in BY_NAME.values() for label in spec.labels} | {"job", "instance", "env", "team"}
SETTINGS = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "configuration.md").read_text()))
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
FOREIGN = {"process_cpu_seconds_total", "process_start_time_seconds", "alertmanager_notifications_failed_total", "modify_date"}
OWN_LABELS = {"problem", "unknown", "within", "date_passed", "sources_disagree", "lookup_fails", "state"}
WORDS = (
    {*OWN_LABELS, *Reason, *Step, *Phase, *Mode, *Outcome, *SKIP_REASONS, *PATH_PARTS, *LABELS, *SETTINGS, *FOREIGN, *BY_NAME}
    | {*TEXTS}
    | {check.name for check in (*CHECKS, *SQL)}
    | {"declared", "graph", "key_vault", "certificate"}
)  # fmt: skip

_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_METRIC = re.compile(r"\b(?:ekm|mssql)_\w+|\b\w+:ekm_[\w:]+")
_NUMBER = re.compile(r"(?<![\w.,])(?:2\d{3}|3\d{3}|4000)(?![\w.,]\d|\w)")
_BITS = {"2048", "3072"}


def prose(text: str) -> str:
    """Return the text without blocks of code."""
    return _FENCE.sub("", text)


def blocks(text: str, language: str) -> list[str]:
    return [body for _, kind, body in _FENCE.findall(text) if kind == language]


def commands(text: str) -> Iterator[str]:
    """Yield each command of the exporter, in a line of a block or in a code span."""
    lines = [line.strip() for block in blocks(text, "sh") for line in block.splitlines()]
    yield from (each for each in [*lines, *_SPAN.findall(prose(text))] if re.match(r"ekm-exporter\b", each))


def section(text: str, name: str) -> str:
    return text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@every_runbook
def test_runbook_has_its_title_and_sections_in_order(runbook):
    headings = re.findall(r"^(#+) (?!If )(.+)$", prose(runbook.read_text()), re.MULTILINE)  # the second case of a section: ### If
    assert headings == [("#", runbook.stem), *(("##", name) for name in SECTIONS)]
    assert all(section(runbook.read_text(), name).strip() for name in SECTIONS)


@every_runbook
def test_runbook_commands_parse(runbook):
    for command in commands(runbook.read_text()):
        arguments = shlex.split(command)[1:]
        if arguments in ([], ["probe"], ["check"], ["--version"]):  # only the name of a command, in a sentence
            continue
        errors = io.StringIO()
        try:
            with contextlib.redirect_stderr(errors):
                build_parser().parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{command}: {errors.getvalue()}")


@every_runbook
def test_runbook_queries_use_existing_metrics(runbook):
    text = runbook.read_text()
    for query in blocks(text, "promql"):
        promql_parser.parse(query)
    known = {*BY_NAME, *RECORDED, *(f"{name}{part}" for name in BY_NAME for part in ("_bucket", "_count", "_sum"))}
    assert set(_METRIC.findall(text)) - known == set()


@every_runbook
def test_query_with_a_code_has_its_counterpart_code(runbook):
    for query in blocks(runbook.read_text(), "promql"):
        for matched in re.findall(r'code=~?"([^"]+)"', query):
            codes = {int(code) for code in matched.split("|")}
            assert {BY_CODE[code].counterpart or code for code in codes} == codes


@every_runbook
def test_codes_exist_and_show_their_counterpart(runbook):
    text = re.sub(
        r"\d\d\d0-\d\d-\d\dT\S+|`ekm-exporter explain \d+`|15\.0\.2000\.440", "", " ".join(prose(runbook.read_text()).split())
    )
    for code in {number for number in _NUMBER.findall(text) if number not in _BITS}:
        assert int(code) in BY_CODE, f"{code} is no code"
        both = both_numbers(int(code))
        counterpart = BY_CODE[int(code)].counterpart
        if counterpart is not None and BY_CODE[int(code)].generation == "classic":
            assert text.count(code) == text.count(both), f"write {both}"
        elif counterpart is not None:
            assert text.count(code) == text.count(both_numbers(counterpart)), f"write {both_numbers(counterpart)}"


@every_runbook
def test_names_in_code_spans_exist(runbook):
    """A code span names a reason, step, metric, label or setting; `tls_*` means all reasons with that prefix."""
    for word in _SPAN.findall(prose(runbook.read_text())):
        if re.fullmatch(r"[a-z]+_\*", word):
            assert any(reason.startswith(word[:-1]) for reason in Reason), word
        elif re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", word):
            assert word in WORDS, word


@every_runbook
def test_runbook_names_other_alerts_only_in_links(runbook):
    """One that was copied from another still names the other's alert."""
    linked = r"\[[^\]]*\]\((Ekm\w+)\.md[^)]*\)"
    text = runbook.read_text()
    assert set(re.findall(r"\bEkm[A-Z]\w+", re.sub(linked, "", text))) <= {runbook.stem}
    assert runbook.stem not in re.findall(linked, text)
