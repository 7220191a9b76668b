"""The command `docs` lists the pages, prints them, and accepts a console of any code page."""

import io
import sys
import zipfile
from itertools import chain

import pytest

from docs.generators import site
from exporter.cli.main import main
from exporter.presentation.documentation import NOT_BUILT, Documentation

pytestmark = pytest.mark.usefixtures("built")


def test_list_names_every_page_once_with_runbooks_and_scripts_apart(archive, capsys):
    assert main(["docs"]) == 0
    groups = [group.splitlines() for group in capsys.readouterr().out.split("\n\n")]
    titles = {first.split(" (")[0]: [line.split()[0] for line in lines] for first, *lines in groups}
    assert list(titles) == ["Pages", "Runbooks of the alerts", "Scripts", "Other files"]
    assert sorted(chain.from_iterable(titles.values())) == sorted(page.name for page in Documentation(archive).pages())
    assert "  doctor                    doctor: from an error number to the fix" in groups[0]
    assert all(name.startswith("runbooks/Ekm") for name in titles["Runbooks of the alerts"])
    assert {"scripts/prove.sql", "deploy/windows/install-hosts.ps1"} <= set(titles["Scripts"])


@pytest.mark.parametrize("name", ["doctor", "docs/doctor.md", "docs\\doctor.md"])
def test_page_is_printed_as_markdown(name, capsys):
    assert main(["docs", name]) == 0
    assert capsys.readouterr().out == (site.ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_anchor_selects_the_part_below_it(capsys):
    assert main(["docs", "docs/codes.md#3303"]) == 0
    assert capsys.readouterr().out.splitlines()[2] == "### 3303 ErrorGetTokenBadCredentials"


@pytest.mark.parametrize("name", ["old-page", "docs/Old-page.md", "http://sqlhost1:10377/docs/old-page#gone"])
@pytest.mark.parametrize("new", ["doctor", "doctor#what-it-prints"])
def test_old_name_prints_the_new_page_or_its_part(name, new, archive, monkeypatch, capsys):
    documentation = Documentation(archive)
    documentation._moved = {"old-page": new}
    monkeypatch.setattr(Documentation, "load", lambda: documentation)
    assert main(["docs", name]) == 0
    printed = capsys.readouterr()
    assert printed.err == f"ekm-exporter docs: {name.partition('#')[0]} is now {new}\n"
    assert printed.out.startswith("## What it prints\n" if "#" in new else "# doctor: ")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("docter", "nothing about 'docter' (did you mean 'doctor'?)"),
        ("docs/docter.md", "no page 'docs/docter.md' (did you mean 'doctor'?)"),
        ("rotaet", "nothing about 'rotaet' (did you mean 'rotate'?)"),
        ("zzz qqq", "nothing about 'zzz qqq'"),
        ("?", "nothing about '?'"),
        ("EkmEgresDown", "nothing about 'EkmEgresDown' (did you mean 'EkmEgressDown'?)"),
        ("doctor#what-it-print", "page doctor has no part 'what-it-print' (did you mean 'what-it-prints'?)"),
        ("doctor#zzz", "page doctor has no part 'zzz'"),
        ("prove.sql#zzz", "page scripts/prove.sql has no part 'zzz'"),
    ],
)
def test_unknown_page_or_part_is_bad_usage_with_the_nearest_name(name, problem, capsys):
    assert main(["docs", name]) == 2
    printed = capsys.readouterr()
    assert printed.err == f"ekm-exporter docs: {problem}\n`ekm-exporter docs` lists all pages.\n"
    assert printed.out == ""


@pytest.mark.parametrize("content", [b"", b"PK", "older"])
def test_damaged_documents_are_none(content, archive, monkeypatch, tmp_path):
    if content == "older":  # without an index
        made = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(archive)) as whole, zipfile.ZipFile(made, "w") as cut:
            for name in ("pages.json", "moved.json"):
                cut.writestr(name, whole.read(name))
        content = made.getvalue()
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "docs.zip").write_bytes(content)
    monkeypatch.undo()
    monkeypatch.setattr("exporter.presentation.documentation.files", lambda _: tmp_path)
    assert Documentation.load() is None


def test_a_long_name_is_read_once():
    """Searched from each of its letters, it would take minutes."""
    for long in ("a" * 1_000_000, "http://" + "a/" * 500_000):
        assert Documentation.load().moved_to(long) is None


def test_an_old_name_cannot_command_the_terminal(archive, monkeypatch, capsys):
    documentation = Documentation(archive)
    documentation._moved = {"old-page": "doctor"}
    monkeypatch.setattr(Documentation, "load", lambda: documentation)
    assert main(["docs", "http://\x1b[31m/docs/old-page"]) == 0
    assert capsys.readouterr().err == "ekm-exporter docs: http://?[31m/docs/old-page is now doctor\n"


def test_ambiguous_name_is_bad_usage_with_the_pages(capsys):
    assert main(["docs", "ekm.yml"]) == 2
    assert "'ekm.yml' can be one of these: deploy/grafana/" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["rotate"], ["rotation", "key"], ["how do I rotate the key?"], ["rotate a key/version"], ["rotate", "key", "#2"]]
)
def test_words_list_places_that_it_prints_with_heading_and_sentence(words, capsys):
    assert main(["docs", *words]) == 0
    found, hint = capsys.readouterr().out.split("\n\n")
    places = [line for line in found.splitlines() if not line.startswith(" ")]
    assert places[0].partition("#")[0] == "key-rotation"
    assert "  Rotating a key, and retiring the old version\n    " in found
    assert hint == f"To print the first: ekm-exporter docs {places[0]}\n"
    for place in places:
        assert main(["docs", place]) == 0
    assert "## A rotation, step by step\n" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["cp850", "cp1252", "ascii"])
def test_character_that_the_console_lacks_is_its_number(encoding, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    monkeypatch.setattr(sys, "stdout", console)
    names = [page.name for page in Documentation.load().pages()]
    assert {name: code for name in names if (code := main(["docs", name])) != 0} == {}
    console.flush()
    assert "·".encode(encoding, "backslashreplace") in console.buffer.getvalue()


def test_checkout_without_built_documents_names_the_command(monkeypatch, capsys):
    monkeypatch.setattr(Documentation, "load", lambda: None)
    assert main(["docs"]) == 2
    assert capsys.readouterr().err == NOT_BUILT


def test_explain_of_a_topic_names_its_places_and_of_a_long_paste_none(capsys):
    assert main(["explain", "rotate a key"]) == 2
    assert "  ekm-exporter docs key-rotation\n    Rotating a key, and retiring the old version\n" in capsys.readouterr().err
    assert main(["explain", "somebody wants to rotate a key of an unknown machine"]) == 2
    assert "As a topic" not in capsys.readouterr().err
