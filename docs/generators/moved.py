"""Pages that moved: the old name, and the page or part that has its facts now.

`/docs/OLD`, the command `docs OLD` and the site lead to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MOVED: Final[Mapping[str, str]] = {
    "alert-timing": "maintainers/alert-timing",
    "azure-inventory": "inventory#vaults-and-keys-in-azure-without-a-target",
    "first-vault": "production",
    "high-availability": "placement#high-availability",
    "licences": "maintainers/licences",
    "modes": "placement#modes",
    "no-prometheus": "production#without-prometheus",
    "paging": "maintainers/alert-timing#the-drill",
    "performance": "maintainers/performance",
    "proven": "maintainers/proven",
    "retiring-a-version": "key-rotation#may-this-old-version-go",
    "simulator-scenarios": "maintainers/simulator-scenarios",
    "support": "troubleshooting",
}
