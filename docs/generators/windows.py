"""The configuration in docs/windows.md, from the file that the MSI installs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from docs.generators.pages import GeneratedPart

EXAMPLE: Final = Path(__file__).parents[2] / "deploy" / "windows" / "ekm.example.yml"


def example() -> str:
    return f"```yaml\n{EXAMPLE.read_text(encoding='utf-8')}```"


PART = GeneratedPart("example", example)
