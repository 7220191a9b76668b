"""The generated parts of the pages in `docs` are those of the tables."""

from __future__ import annotations

import re

import pytest

from docs.generators import every_page
from docs.generators.every_page import DOCS, PAGES, refreshed, write
from docs.generators.powershell import parameters
from exporter.sqlserver.script import script_bytes


@pytest.mark.parametrize("page", PAGES)
def test_generated_parts_of_a_page_are_current(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert refreshed(page, text) == text, "run: ./dev docs"


def test_parts_are_rewritten_between_their_marks(tmp_path, monkeypatch):
    monkeypatch.setattr(every_page, "DOCS", tmp_path)
    page, (part,) = tmp_path / "windows.md", PAGES["windows"]
    page.write_text(f"before\n{part.begin}\nobsolete\n{part.end}\nafter\n")
    write("windows")
    assert page.read_text() == f"before\n{part.begin}\n\n{part.write()}\n\n{part.end}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="needs a line"):
        write("windows")


@pytest.mark.parametrize("script", ["grant-login.ps1", "inventory.ps1"])
def test_each_parameter_of_a_script_is_in_its_table(script):
    declared = script_bytes(script).decode().split("\nparam(\n")[1].split("\n)\n")[0]
    assert re.findall(r"^\| `-(\w+)", parameters(script), re.MULTILINE) == re.findall(r"\] \$(\w+)", declared)
