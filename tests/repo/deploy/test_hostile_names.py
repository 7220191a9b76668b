"""Hostile names in the texts that the product prints: each language's parser reads one command, and the name as one word of it.

T-SQL is rendered twice, with harmless and with hostile names. The harmless text shows where its commands are; the hostile command must
have the same tokens, with the name where the harmless one stood. Commands of shells and queries come from the tables of all actions.
"""

import re
import shlex
import subprocess
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml

from exporter.cli import doctor, simulate
from exporter.config.fields import NAME
from exporter.core.connector import LOG_SCRIPTS, log_query
from exporter.core.quoting import plain
from exporter.core.values import CredentialKind, Facts, Outcome, Step, Vantage
from exporter.inventory.plan import HandWritten, make_plan
from exporter.inventory.render import report
from exporter.knowledge.checks import BY_NAME
from exporter.knowledge.code_row import SHOW_CHANGES
from exporter.knowledge.codes import CODES
from exporter.knowledge.names import Names, fill_command, fill_names
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.tickets import (
    THROTTLED,
    Team,
    command_lines,
    request_queries,
    team_checks,
    team_steps,
)
from exporter.presentation.sql import difference_text, first_action, first_actions
from exporter.sqlserver.audit import access_queries
from exporter.sqlserver.differences import TEXTS
from exporter.sqlserver.gate.conditions import CONDITIONS, reason
from exporter.sqlserver.instance import printable
from exporter.sqlserver.proof import ServerProof, server_proofs
from tests.repo.powershell import errors, parsed, walked
from tests.support.gate_factories import URIS, answer, document, instance
from tests.support.sql_differences import a_difference
from tests.support.sql_readings import READ_AT, a_reading, sections_of, with_growing_logs

Rows = dict[str, list[dict[str, Any]]]

HARMLESS = "ZQZQ"
# What brackets hold; a name of SQL Server loses its line breaks when it is read.
QUOTED = (
    "x] SET ONLINE; ALTER SERVER ROLE sysadmin ADD MEMBER [EVIL]; --",
    "x]]; DROP DATABASE EVIL; --",
    "x'; DROP LOGIN EVIL; --",
    'x"; */ EVIL /* & calc | %EVIL% \u2019; EVIL',
    "x]\r\n:!! EVIL\r\nGO\r\n",
)
REFUSED = ("x$(EVIL)", "x `ALTER SERVER ROLE sysadmin ADD MEMBER [EVIL];`", "EVIL]" * 25)
STATEMENT = re.compile(r"\b(?:ALTER|CREATE|DROP|BACKUP|RESTORE|USE|GRANT) (?:[A-Z_]+\b|\[[^\]]*\]|'[^']*'|[ ,=])+")
RAW_STATEMENT = re.compile(r"(?:ALTER|CREATE|DROP|BACKUP|RESTORE|USE|GRANT) [A-Z ]*\[[^\]]*EVIL")
NAMED = frozenset({"name", "provider", "credential", "login", "database", "ag"})


def renamed(rows: Rows, name: str) -> None:
    """Add the name to every name of a SQL Server's answer."""
    for section, found in rows.items():
        for row in found:
            row |= {column: f"{row[column]}{name}" for column in NAMED & row.keys() if section != "configurations"}


def changed(name: str, change: Callable[[Rows], None]) -> Callable[[Rows], None]:
    def both(rows: Rows) -> None:
        change(rows)
        renamed(rows, name)

    return both


def closed(rows: Rows) -> None:
    rows["databases"][0]["state"] = "RECOVERY_PENDING"
    rows["encryption"].clear()


def without_login(rows: Rows) -> None:
    del rows["keys"][0]["login"], rows["keys"][0]["credential"]


def several_credentials(rows: Rows) -> None:
    without_login(rows)
    rows["credentials"].append({**rows["credentials"][0], "name": "other"})


CHANGES: dict[str, Callable[[Rows], None]] = {
    "as it is": lambda _rows: None,
    "disabled provider": lambda rows: rows["providers"][0].update(is_enabled=0),
    "no provider": lambda rows: rows["providers"].clear(),
    "closed database": closed,
    "no credential": lambda rows: rows["credentials"].clear(),
    "login without credential": lambda rows: rows["keys"][0].pop("credential"),
    "no login": without_login,
    "several credentials": several_credentials,
    "altered credential": lambda rows: rows["credentials"][0].update(modified_utc="2026-11-26T19:59:00"),
    "no key": lambda rows: rows["keys"].clear(),
}


def with_replicas(rows: Rows) -> None:
    rows["replicas"] = [{"ag": "AG7", "server_name": server} for server in ("N1\\SQLPRD01", "N2\\SQLPRD01")]


def findings(name: str) -> Iterator[str]:
    """Yield each sentence of the inventory's report, and each reason of the gate."""
    lacking = [
        document("N1\\SQLPRD01", ag="AG7", change=changed(name, with_replicas)),
        document("N2\\SQLPRD01", ag="AG7", databases={}, change=changed(name, with_replicas)),
    ]
    for change in CHANGES.values():
        plan = make_plan([instance(change=changed(name, change))], URIS, HandWritten(), {})
        yield from (*plan.findings.gaps, *plan.findings.notes)
    for held in (lacking, *([document(change=changed(name, change))] for change in CHANGES.values())):
        yield from (text for one in answer(inventory=held).reasons for text in (one.text, one.fix))


def servers(name: str) -> Iterator[ServerProof]:
    """Yield what a SQL Server shows, healthy and with each fault."""
    error = {"code": "3303", "lines": 2, "first_utc": "2026-11-26T19:10:00", "last_utc": "2026-11-26T19:50:00"}
    for change in CHANGES.values():
        for errors_of_log in ([], [error], [{**error, "code": "33111"}]):
            rows = sections_of(**({"errors": errors_of_log} if errors_of_log else {}))
            changed(name, change)(rows)
            rows["logs"][0]["limit_kb"] = 104_000
            for state in ("ONLINE", "RECOVERY_PENDING"):
                rows["databases"][0]["state"] = state
                yield from server_proofs(with_growing_logs(a_reading(sections=rows, sql_instance=printable(f"S{name}"))))


def page_texts(name: str) -> Iterator[str]:
    """Yield what pages show of SQL Servers, where `code` spans are commands to copy."""
    for server in servers(name):
        for ended_at in (None, READ_AT):
            for is_ready in (True, False):
                yield first_action(server, ended_at, is_ready=is_ready)
            yield first_actions([server], server, ended_at, READ_AT)


SOURCES = {"findings": findings, "pages": page_texts}


def commands_of(harmless: str, hostile: str) -> Iterator[tuple[str, str]]:
    """Yield each statement of a text with the one that stands in its place."""
    marked = STATEMENT.sub(lambda found: f"\1{found[0]}\2" if HARMLESS in found[0] else found[0], harmless)
    pattern = re.escape(marked).replace(HARMLESS, "(?:.*?)").replace("\1", "(").replace("\2", ")")
    found = re.fullmatch(pattern, hostile, re.DOTALL)
    assert found is not None, (harmless, hostile)
    yield from zip(re.findall("\1(.*?)\2", marked), found.groups(), strict=True)


def tokens(statement: str) -> list[tuple[str, str]]:
    return [(one.token_type.name, one.text) for one in sqlglot.tokenize(statement, dialect="tsql")]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", QUOTED)
def test_statement_keeps_its_tokens_with_a_hostile_name(source, name):
    pairs = [
        pair
        for harmless, hostile in zip(SOURCES[source](HARMLESS), SOURCES[source](name), strict=True)
        for pair in commands_of(harmless, hostile)
    ]
    assert len({harmless for harmless, _ in pairs}) >= (8 if source == "findings" else 2)
    for harmless, hostile in pairs:
        assert tokens(hostile) == [(kind, text.replace(HARMLESS, printable(name))) for kind, text in tokens(harmless)]
        assert len(sqlglot.parse(hostile, dialect="tsql")) == len(sqlglot.parse(harmless, dialect="tsql"))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", REFUSED)
def test_name_that_cannot_be_quoted_is_in_no_statement(source, name):
    shown = list(SOURCES[source](name))
    assert [text for text in shown if RAW_STATEMENT.search(text)] == []
    if source == "pages":
        assert [span for text in shown for span in text.split("`")[1::2] if "EVIL" in span] == []


def test_report_of_an_inventory_has_no_statement_of_a_name():
    plan = make_plan([instance(change=changed(QUOTED[-1], closed))], URIS, HandWritten(), {})
    assert [line for line in report(plan, (), "secrets").splitlines() if line.startswith((":", "GO", "!!"))] == []


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("name", [*QUOTED[:-1], *REFUSED, "x, host: EVIL}, {a: b", "x: #"])
def test_lines_of_a_configuration_keep_their_keys(kind, name):
    def spans(text: str) -> list[Any]:
        return [yaml.safe_load(each) for each in text.split("`")[1::2]]

    def strings(value: Any) -> Iterator[str]:
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from strings(one)
        if isinstance(value, str):
            yield value

    def made(name: str) -> list[Any]:
        uri = f"https://contoso-prod.vault.azure.net/keys/{name}/v"
        return spans(difference_text(a_difference(kind=kind, sql_instance=name, host=name, key_uri=uri, pinned=uri)))

    hostile, harmless = made(name), made(HARMLESS)
    assert list(map(shape, hostile)) == list(map(shape, harmless))
    assert [*strings(hostile)] == [text.replace(HARMLESS, name) for text in strings(harmless)]


def shape(value: Any) -> Any:
    """Return a value of YAML without its texts."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else type(value)


HOSTILE = "EVIL\"; az account clear & calc | x #'\n"
PATHS = (
    "/etc/a b; touch EVIL/ekm.yml",
    "/etc/it's & EVIL (x)/ekm.yml",
    "C:\\EVIL & calc\\it's\\ekm.yml",
    "/etc/$(touch EVIL)/ekm.yml",
    '/etc/"; touch EVIL; "/ekm.yml',
    "/etc/`touch EVIL`/ekm.yml",
    "/etc/\u201d; touch EVIL/ekm.yml",
    "--EVIL",
)


def hostile_names(vault: str, path: str = HOSTILE) -> Names:
    """Return names of which each text is hostile; `vault` selects the actions."""
    return Names(
        target=HOSTILE, other_credential=HOSTILE, vault=vault, key=HOSTILE, version=HOSTILE, client_id=HOSTILE, object_id=HOSTILE,
        config_file=path, secret_file=path, host=HOSTILE, proxy=HOSTILE, kind=CredentialKind.CLIENT_SECRET,
        client_address=HOSTILE, vantage=Vantage.SQL_HOST, staged=HOSTILE, newest=HOSTILE,
    )  # fmt: skip


def actions() -> list[str]:
    """Return the actions of all codes, reasons and checks."""

    def of_reason(reason: Reason) -> Iterable[str]:
        row = reason.row
        return (
            *row.actions,
            *row.on_hsm,
            *row.at_sign_in.actions,
            *row.if_private,
            *(text for one in row.by_kind.values() for text in one),
        )

    checks = (text for one in BY_NAME.values() for text in (*one.actions, *one.on_hsm, *one.of_certificate))
    return [*(text for row in CODES for text in row.actions), *(text for one in Reason for text in of_reason(one)), *checks]


def azure_commands(vault: str) -> Iterator[str]:
    """Yield each command and query about a vault, in all forms, with hostile names."""
    names = hostile_names(vault)
    filled = [fill_names(text, names) for text in actions()]
    yield from (span for text in filled for span in text.split("`")[1::2])
    failed = [
        StepResult(step=step, outcome=Outcome.FAILED, code=3077, reason=reason, facts=Facts(request_id=HOSTILE, proxy=HOSTILE))
        for step in (Step.TOKEN, Step.GET_KEY)
        for reason in Reason
    ]
    for team in Team:
        steps = [*team_steps(team, filled, vault)]
        for each in failed:
            steps += team_checks(team, each, names, "")
        yield from (command for step in steps for label, command in step.lines if label != "portal")
    lines = (line for one in (THROTTLED, SHOW_CHANGES.strip("`")) for line in command_lines(fill_command(one, names), vault))
    yield from (command for label, command in lines if label != "portal")
    yield from (query for _, query in request_queries(vault, 'ClientInfo == "x"'))
    yield from (each["text"] for each in access_queries(vault, HOSTILE))
    yield from (log_query(script, vault=vault, key=HOSTILE) for script in LOG_SCRIPTS)


@pytest.mark.parametrize("vault", ["contoso.vault.azure.net", "contoso.managedhsm.azure.net", HOSTILE])
def test_no_command_of_azure_has_a_hostile_name(vault):
    shown = list(azure_commands(vault))
    assert len(shown) > 500
    assert {command for command in shown if "EVIL" in command} == set()


@pytest.mark.parametrize("path", PATHS)
def test_path_is_one_word_of_each_command(path):
    names, harmless = (hostile_names("contoso.vault.azure.net", each) for each in (path, "/etc/PLAIN/ekm.yml"))
    pairs = [
        (shown, expected)
        for text in actions()
        for shown, expected in zip(
            fill_names(text, names).split("`")[1::2], fill_names(text, harmless).split("`")[1::2], strict=True
        )
        if "PLAIN" in expected
    ]
    assert len({expected for _, expected in pairs}) >= 4
    for shown, expected in pairs:
        is_refused = "EVIL" not in shown
        there = re.sub(r".*\b(FILE|SECRET_FILE)\b.*", r"\1", shown) if is_refused else path
        if "\\" not in path:
            assert shlex.split(shown) == [there if "PLAIN" in word else word for word in shlex.split(expected)]
        if " " in expected:  # a path alone is no command
            assert powershell_commands(shown) == powershell_commands(expected) == 1


def powershell_commands(code: str) -> int:
    """Return the number of commands in a text without errors; the parser knows no dot in the name of a flag."""
    root = parsed(code.replace("--config.file", "--config-file"))
    assert errors(root) == []
    return sum(one.type == "command" for one in walked(root))


@pytest.mark.parametrize("windows", [False, True], ids=["sh", "PowerShell"])
@pytest.mark.parametrize("text", [*PATHS, "a'b\u2018; EVIL\u2019 c\u201a\u201b"])
def test_words_of_the_shell_of_this_host(windows, text, monkeypatch):
    monkeypatch.setattr(simulate, "is_windows", lambda: windows)
    given = {"credential": text, "vault": None, "key": None, "connector_secret_file": None, "tenant": None}
    shown = [
        doctor._repeat_command(Namespace(target=text, config_file=Path(text), **given)),
        simulate.with_variables({"A": text}, f"ekm-exporter run --config.file {simulate.quoted(text)}"),
        simulate.request("http://127.0.0.1:1/sim/fault", "POST", text),
    ]
    for command in shown:
        if windows:
            assert powershell_commands(command) == 1
        else:
            assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0  # noqa: S603, S607 - parses only
            words = shlex.split(command)
            assert text in words or f"A={text}" in words
            assert len(words) <= 6 + command.count("--credential")


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("value", ["x; touch EVIL", "x' $(touch EVIL)", 'x" & EVIL', "x` EVIL"])
def test_commands_of_the_gate_have_no_second_command(condition, value):
    fields = set(re.findall(r"\{(\w+)\}", CONDITIONS[condition].text + CONDITIONS[condition].fix)) - {
        "statement",
        "gap",
        "provider",
    }
    fix = reason(condition, **dict.fromkeys(fields, value), statement="", gap="", provider="[x]").fix
    for command in re.findall(r"(?:ekm-exporter (?:probe|explain|inventory)|curl) (?:\"[^\"]*\"|[^ ]+| --?\S+)*", fix):
        assert "EVIL" not in re.sub(r'"[^"]*"', "", command)


# Of labels, a name of the configuration, which is letters, digits, dots, underscores and hyphens.
SAFE_LABELS = {"$labels.target"}


def test_alerts_fill_only_names_without_quotation_into_commands():
    texts = " ".join(text for path in ALERTS.glob("*.rules.yml") for text in texts_of(path))
    found = re.findall(r"ekm-exporter [a-z]+ \{\{ ?(.*?) ?\}\}", texts)
    assert len(found) >= 3
    assert set(found) == SAFE_LABELS
    pattern = re.compile(NAME.json["pattern"])
    assert [sign for sign in map(chr, range(0x2100)) if pattern.fullmatch(f"a{sign}") and plain(f"a{sign}", "") == ""] == []


ALERTS = Path(__file__).parents[3] / "alerts"
SHOWN = (*ALERTS.glob("*.rules.yml"), *ALERTS.glob("runbooks/*.md"), *(ALERTS.parent / "dashboards").glob("*.json"))
ACTION = re.compile(r"\{\{.*?\}\}|\$\{\w+\}", re.DOTALL)
# After the command, after a word of T-SQL, or in the brackets of a name.
IN_COMMAND = re.compile(r"ekm-exporter [a-z]+ \0|\b[A-Z]{3,} +[\[']?\0|\[\0\]")
SAFE_WORD = re.compile(rf"(ekm-exporter [a-z]+ )\{{\{{ ?(?:{'|'.join(map(re.escape, SAFE_LABELS))}) ?\}}\}}")
# In lines of a configuration: what is quoted, a thumbprint, and the URI of a key, which has no other signs.
SAFE_VALUE = re.compile(r'\{\{ (?:printf "%q" \$labels\.\w+|\$labels\.thumbprint|or \$labels\.key_uri "KEYURI") \}\}')
# Names of databases in a sentence.
LISTED_NAMES = {", \0[\0]", "by [\0]"}


def texts_of(path: Path) -> Iterator[str]:
    if path.suffix != ".yml":
        yield path.read_text(encoding="utf-8")
        return
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield from (re.sub(r"\s+", " ", text) for text in rule.get("annotations", {}).values())


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_no_label_is_a_part_of_a_command(path):
    for text in texts_of(path):
        shown = ACTION.sub("\0", SAFE_VALUE.sub("VALUE", SAFE_WORD.sub(r"\1WORD", text)))
        for sentence in LISTED_NAMES:
            shown = shown.replace(sentence, "")
        assert [span for span in shown.split("`")[1::2] if "\0" in span] == []
        assert IN_COMMAND.findall(shown) == []
