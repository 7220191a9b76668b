from pathlib import Path

import pytest

from docs.generators.simulator import PART
from exporter.simulator import demo_story

PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"


def test_the_page_shows_the_scenario_table_as_it_is():
    page = PAGE.read_text(encoding="utf-8")
    assert PART.refreshed(page) == page, "run: ./dev docs"


def test_a_page_without_a_place_for_the_table_is_an_error():
    with pytest.raises(ValueError, match="needs a line"):
        PART.refreshed("# nothing")


def test_the_page_tells_what_happens_to_each_vault_of_the_demo():
    page = PAGE.read_text(encoding="utf-8")
    assert [beat.vault for beat in demo_story.STORY if f"| {beat.vault} |" not in page] == []
