from pathlib import Path

import pytest

from docs.generators.simulator import PART
from exporter.simulator import demo_story

PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"


def test_page_has_the_current_scenario_table():
    page = PAGE.read_text(encoding="utf-8")
    assert PART.refreshed(page) == page, "run: ./dev docs"


def test_page_without_a_marker_is_an_error():
    with pytest.raises(ValueError, match="needs a line"):
        PART.refreshed("# nothing")


def test_page_lists_each_vault_of_the_demo():
    page = PAGE.read_text(encoding="utf-8")
    assert [beat.vault for beat in demo_story.STORY if f"| {beat.vault} |" not in page] == []
