from pathlib import Path

from exporter.simulator import demo_story

PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"


def test_page_lists_each_vault_of_the_demo():
    page = PAGE.read_text(encoding="utf-8")
    assert [beat.vault for beat in demo_story.STORY if f"| {beat.vault} |" not in page] == []
