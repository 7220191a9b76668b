"""`explain` and the documentation page."""

import io
import json
import re
from pathlib import Path

import pytest

from exporter.cli.main import main
from exporter.explain.explanation import as_markdown, as_text, otherwise_text
from exporter.knowledge.code_row import FREQUENT, WITHOUT_THE_KEY
from exporter.knowledge.codes import BY_CODE, CODES

PAGE = Path(__file__).parents[3] / "docs" / "codes.md"
CONTRACT_FIELDS = {
    "code", "symbol", "generation", "counterpart", "layer", "category", "owner", "observable", "summary", "effect", "causes", "actions",
}  # fmt: skip


@pytest.fixture
def run(capsys):
    def call(*arguments):
        status = main(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_explain_prints_all_texts_of_a_code(run):
    status, out, err = run("explain", "3303")
    row = BY_CODE[3303]
    flat = " ".join(out.split())
    assert (status, err) == (0, "")
    assert "3303" in out.splitlines()[0]
    assert "ErrorGetTokenBadCredentials" in out
    assert all(text in flat for text in (row.summary, row.effect))
    for items in (row.causes, row.actions):
        places = [flat.index(f"{number}. {item}") for number, item in enumerate(items, 1)]
        assert places == sorted(places)
    assert "identity: the identity team (Entra ID)" in flat
    assert "A probe can see it." in flat
    assert "3010 (3108 on connector 1.0.5.0)" in flat
    assert "docs/" not in out


def test_symbol_of_a_pair_explains_the_classic_code(run):
    assert run("explain", "errorhttpoperationforbidden") == run("explain", "3077")
    assert json.loads(run("explain", "ErrorHttpOperationForbidden", "--json")[1])["code"] == 3077


def test_explain_names_why_a_probe_cannot_see_a_code(run):
    flat = " ".join(run("explain", "2058")[1].split())
    assert f"A probe cannot see it. {BY_CODE[2058].unobservable_because}" in flat


@pytest.mark.parametrize(("number", "real"), [("401", "3303"), ("404", "3076 (3112 on connector 1.0.5.0)")])
def test_explain_marks_a_status_of_the_event_line(run, number, real):
    flat = " ".join(run("explain", number)[1].split())
    assert "HTTP status of an event line" in flat
    assert real in flat


@pytest.mark.parametrize("row", CODES, ids=lambda row: str(row.code))
def test_an_explanation_fits_80_columns_with_whole_commands(row):
    text = as_text(row)
    assert max(map(len, text.splitlines())) <= 80
    for command in re.findall(r"`[^`]*`", " ".join((row.summary, *row.causes, *row.actions))):
        assert command in text


@pytest.mark.parametrize(
    ("given", "suggested"),
    [
        ("3020", "3019"),
        ("3033", "3303"),
        ("CodeThrottled", "ErrorHttpResponseCodeThrottled"),
        ("ErrorHttpSendRequst", "ErrorHttpSendRequest"),
    ],
)
def test_unknown_code_is_answered_on_stderr_with_near_misses(run, given, suggested):
    status, out, err = run("explain", given)
    assert (status, out) == (2, "")
    err = err.partition("\n")[0]
    assert given in err
    assert suggested in err


@pytest.mark.parametrize("given", ["", "-1", "zz", "9" * 5000, "a\nb\x1b[31m"])
def test_nonsense_is_a_plain_line_and_the_general_way_on_stderr(run, given):
    status, out, err = run("explain", "--", given)
    first, blank, *others = err.splitlines()
    assert (status, out, blank) == (2, "", "")
    assert "\x1b" not in err
    assert len(first) < 450
    assert others == otherwise_text().splitlines()


def test_explain_gives_the_same_json_as_the_list(run):
    listed = {entry["code"]: entry for entry in json.loads(run("explain", "--format", "json")[1])}
    assert json.loads(run("explain", "3900", "--json")[1]) == listed[3900]


@pytest.mark.parametrize("before", [("--json",), ()])
def test_flag_of_json_may_stand_on_either_side(run, before):
    after = () if before else ("--json",)
    assert json.loads(run("explain", *before, "3900", *after)[1])["code"] == 3900


def test_json_without_a_text_is_the_list(run):
    assert run("explain", "--json") == run("explain", "--format", "json")


def test_format_of_one_explanation_is_refused(run):
    status, out, err = run("explain", "3303", "--format", "md")
    assert (status, out) == (2, "")
    assert err == "ekm-exporter explain: --format is for all codes, without TEXT: write --json\n"


def test_the_json_list_has_every_code_with_the_promised_fields(run):
    status, out, _ = run("explain", "--format", "json")
    entries = json.loads(out)
    assert status == 0
    assert [entry["code"] for entry in entries] == [row.code for row in CODES]
    for entry, row in zip(entries, CODES, strict=True):
        assert entry.keys() >= CONTRACT_FIELDS
        assert entry["generation"] in ("classic", "current", "both")
        assert entry["observable"] is row.observable
        assert entry["causes"] == list(row.causes)
        assert entry["actions"] == list(row.actions)
        assert entry["counterpart"] == row.counterpart


def test_the_table_has_a_line_a_code_within_eighty_columns(run):
    status, out, _ = run("explain")
    lines = out.splitlines()
    assert status == 0
    assert [line.split()[0] for line in lines] == ["CODE", *(str(row.code) for row in CODES)]
    assert max(map(len, lines)) <= 80
    assert "3077  3113  ErrorHttpOperationForbidden" in out


def test_the_committed_page_is_what_the_command_prints(run):
    status, out, _ = run("explain", "--format", "md")
    assert status == 0
    assert PAGE.read_text("utf-8") == out, "run: ekm-exporter explain --format md > docs/codes.md"


def test_the_page_has_one_anchor_a_code_and_no_dead_link():
    page = as_markdown(CODES)
    anchors = re.findall(r'<a id="(\d+)"></a>', page)
    assert sorted(map(int, anchors)) == sorted(BY_CODE)
    assert {int(number) for number in re.findall(r"\]\(#(\d+)\)", page)} <= set(BY_CODE)


def test_page_has_the_texts_of_a_pair_once():
    page = as_markdown(CODES)
    assert page.count(BY_CODE[3012].causes[0]) == 1
    assert "see [3012](#3012)" in page


def test_a_page_of_some_rows_has_only_their_layers():
    page = as_markdown([BY_CODE[3301]])
    assert re.findall(r"^## (.+)$", page, re.MULTILINE)[4:] == ["Sign-in (3300 to 3308)", "A failure that no table lists"]
    page = as_markdown([BY_CODE[3303]])
    assert re.findall(r"^## (.+)$", page, re.MULTILINE)[1::4] == ["Codes that a DBA meets", "A failure that no table lists"]


def test_page_starts_with_the_codes_that_a_dba_meets():
    page = as_markdown(CODES)
    anchors = [int(code) for code in re.findall(r'<a id="(\d+)"></a>', page)]
    first = {code for pair in FREQUENT for code in (pair, BY_CODE[pair].counterpart) if code is not None}
    assert (len(first), len(anchors)) == (25, 146)
    assert set(anchors[:25]) == first
    assert anchors[:3] == [3303, 3077, 3113]
    assert anchors[25:] == sorted(set(BY_CODE) - first)
    assert "| [3077](#3077) or [3113](#3113) | a role " in page
    assert "The 25 codes that a DBA meets come first; the other 121 follow" in page


def test_words_of_an_unquoted_line_are_one_text(run):
    assert run("explain", "Provider", "error", "code:", "3303")[1].splitlines()[0] == "3303"


def test_dash_reads_pasted_lines_from_standard_input(run, monkeypatch):
    monkeypatch.setattr(
        "sys.stdin", io.TextIOWrapper(io.BytesIO("Msg 3013, Level 16\r\nBACKUP LOG für März terminates.".encode("utf-16")))
    )
    assert run("explain", "-")[1].startswith("Message 3013 of SQL Server: ")


def test_an_unknown_code_of_a_line_is_named(run):
    status, _, err = run("explain", "Provider error code: 9999.")
    assert status == 2
    assert "no such code: '9999'" in err


def test_page_of_all_codes_names_the_three_clocks_once():
    page = as_markdown(CODES)
    assert page.count(WITHOUT_THE_KEY) == 1
    assert page.count("[without the key](#without-the-key)") == sum(WITHOUT_THE_KEY in row.effect for row in CODES)
