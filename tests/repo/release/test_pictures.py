"""The pictures of the pages: `./dev draw` makes each, and a document shows it."""

from pathlib import Path

from tests.system.browser.pictures import CAUSES, DEMO, IMAGES, SITUATIONS

ROOT = Path(__file__).parents[3]
LARGEST = 130_000  # bytes
DRAWN = [name for pictures in (DEMO, *CAUSES.values()) for name, *_ in pictures]
NAMES = {f"{name}.png" for name in (*DRAWN, *(f"pages-{name}-{targets}" for name in SITUATIONS for targets in CAUSES))}


def test_every_picture_is_drawn_small_and_shown():
    documents = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    assert {path.name for path in IMAGES.iterdir() if path.name.startswith(("pages-", "status-"))} == NAMES
    assert [name for name in NAMES if f"images/{name})" not in documents] == []
    assert [path.name for path in IMAGES.iterdir() if path.stat().st_size > LARGEST and path.name in NAMES] == []
