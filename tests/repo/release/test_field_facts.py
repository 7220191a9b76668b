"""No text of the product has a statement about Azure or SQL Server that was disproved."""

import re
from pathlib import Path

from exporter.knowledge.checks import BY_NAME
from exporter.knowledge.code_row import ADD_CHECKPOINT, ENTRIES, GRANT_RIGHT, REGISTRY_KEY, SHOW_RIGHTS
from exporter.knowledge.codes import BY_CODE

ROOT = Path(__file__).parents[3]
# Every text that a user reads: pages, runbooks, scripts, and the texts of the product.
TEXTS = sorted(
    str(path.relative_to(ROOT))
    for folder, kinds in (
        ("", "README.md"),
        ("docs", "*.md"),
        ("alerts", "*.md"),
        ("alerts", "*.yml"),
        ("deploy", "*.md"),
        ("deploy", "*.sql"),
        ("deploy", "*.ps1"),
        ("exporter", "*.py"),
    )
    for path in ((ROOT / folder).rglob(kinds) if folder else (ROOT / kinds,))
)


def test_registry_key_is_the_same_everywhere():
    """The right belongs to the key of Microsoft's setup page; the connector's entries are below it."""
    page = (ROOT / "docs/sql-host.md").read_text(encoding="utf-8")
    assert [lines for lines in ((SHOW_RIGHTS,), GRANT_RIGHT, ADD_CHECKPOINT) if f"\n{chr(10).join(lines)}\n" not in page] == []
    doctor = "".join(text for name in ("registry_rights", "cluster_checkpoint") for text in BY_NAME[name].actions)
    assert [lines for lines in ((SHOW_RIGHTS,), GRANT_RIGHT, ADD_CHECKPOINT) if f"`{chr(10).join(lines)}`" not in doctor] == []
    assert "Set-ItemProperty -Path $key -Name 'ProxyEnable' -Value 1 -Type DWord" in "\n".join(BY_NAME["service_proxy"].actions)
    assert GRANT_RIGHT[0] == ADD_CHECKPOINT[0]
    assert BY_CODE[2058].commands == (*GRANT_RIGHT, *ADD_CHECKPOINT[1:])
    named = {
        match.rstrip("\\").lower()
        for page in TEXTS
        for match in re.findall(
            r"SOFTWARE\\+Microsoft\\+SQL Server Cryptographic Provider(?:\\+Azure Key Vault)?", (ROOT / page).read_text("utf-8")
        )
    }
    assert {name.replace("\\\\", "\\") for name in named} == {REGISTRY_KEY.lower(), ENTRIES.lower()}
