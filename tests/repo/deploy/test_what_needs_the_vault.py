"""docs/what-needs-the-vault.md: each operation has its source, and README begins with the same three clocks."""

import re
from pathlib import Path

import pytest

from exporter.knowledge.code_row import WITHOUT_THE_KEY

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "what-needs-the-vault.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Operation by operation")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("| ")][1:]
ROWS = [row for row in ROWS if set(row[0]) != {"-"}]
# A file .ldf, the exporter's own log, and a name of a system view's column.
OTHER_LOG_FILES = (
    "let the log grow or add a log file",
    "A log file that rotates",
    "printed in the log file",
    "only in the log file",
    "Log files (.ldf)",
)
TEXTS = [
    path
    for pattern in (
        "README.md",
        "docs/**/*.md",
        "docs/generators/*.py",
        "alerts/**/*.md",
        "alerts/*.py",
        "alerts/*.yml",
        "dashboards/*.py",
        "exporter/**/*.py",
        "exporter/**/*.sql",
    )
    for path in ROOT.glob(pattern)
]


def flat(text: str) -> str:
    return " ".join(re.sub(r"\*\*|^- ", "", text, flags=re.MULTILINE).split())


def test_source_links_are_defined_and_used() -> None:
    defined = set(re.findall(r"^\[(\w+)\]: https://(?:learn|support)\.microsoft\.com/", PAGE, re.MULTILINE))
    assert set(re.findall(r"\]\[(\w+)\]", PAGE)) == defined


def test_readme_begins_with_the_three_clocks() -> None:
    assert WITHOUT_THE_KEY in flat(README.partition("\n## ")[0])
    assert "](docs/what-needs-the-vault.md)" in README.partition("\n## ")[0]
    assert "](docs/what-needs-the-vault.md)" in README.partition("\n## Documentation")[2]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_unit_inside_the_ldf_is_called_a_virtual_log_file(path: Path) -> None:
    text = " ".join(path.read_text(encoding="utf-8").split())
    for other in OTHER_LOG_FILES:
        text = text.replace(other, "")
    assert re.findall(r"(?i)(?<!virtual )\blog files?\b", text) == []
    if path.suffix == ".md" and re.search(r"\bVLFs?\b", text):
        assert re.search(r"(?:virtual log files? \(VLF\)|\bVLFs?\b)", text)[0] != "VLF", "the first use names it in words"
