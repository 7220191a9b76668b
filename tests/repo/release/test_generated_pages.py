"""The generated parts of the pages in `docs` are those of the tables."""

from __future__ import annotations

import pytest

from docs.generators import every_page
from docs.generators.every_page import DOCS, PAGES, refreshed, write


@pytest.mark.parametrize("page", PAGES)
def test_generated_parts_of_a_page_are_current(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert refreshed(page, text) == text, "run: ./dev docs"


def test_parts_are_rewritten_between_their_marks(tmp_path, monkeypatch):
    monkeypatch.setattr(every_page, "DOCS", tmp_path)
    page, (part,) = tmp_path / "doctor.md", PAGES["doctor"]
    page.write_text(f"before\n{part.begin}\nobsolete\n{part.end}\nafter\n")
    write("doctor")
    assert page.read_text() == f"before\n{part.begin}\n\n{part.write()}\n\n{part.end}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="needs a line"):
        write("doctor")
