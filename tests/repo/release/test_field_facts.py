"""No text of the product has a statement about Azure or SQL Server that was disproved."""

import re
from pathlib import Path

import pytest

from exporter.knowledge.checks import BY_NAME
from exporter.knowledge.code_row import ADD_CHECKPOINT, ENTRIES, GRANT_RIGHT, REGISTRY_KEY, SHOW_RIGHTS
from exporter.knowledge.codes import BY_CODE

ROOT = Path(__file__).parents[3]
# Statements that were disproved.
WRONG = (
    "until 2022 at least",
    "TLS 1.2 is enabled if the key is missing or Enabled is not 0",
    "and `Application.Read.All`, or Entra ID's role",
    "the zone `privatelink.vaultcore.azure.net` is not linked to this network, or lacks the record",
    "not documented: install the newest that the installer accepts",
    "Where its region has a pair, Key Vault fails over by itself",
    "Trace flag 4675 logs",
    "No restart is needed.",
    "az ad app list --all",
    "forbids the SHA-1 hash that connector",
    "A backup made with 1.0.4.0 needs a server with 1.0.4.0",
    "so a new installation is `current`",
    "which every new installation has",
    "Every connector downloaded since 2018",
    "a running node needs no token",
    "Once that secret ends",
    "No data is lost",
    "SELECT name, version, dll_path FROM sys.cryptographic_providers;`",
    'Get-Acl "HKLM:\\SOFTWARE\\Microsoft\\SQL Server Cryptographic Provider\\Azure Key Vault"',
)
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


def words(page: str) -> str:
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


@pytest.mark.parametrize("statement", WRONG)
def test_no_text_has_a_disproved_statement(statement):
    assert [page for page in TEXTS if statement in words(page)] == []


def test_registry_key_is_the_same_everywhere():
    """The right belongs to the key of Microsoft's setup page; the connector's entries are below it."""
    page = (ROOT / "docs/sql-host.md").read_text(encoding="utf-8")
    assert [lines for lines in ((SHOW_RIGHTS,), GRANT_RIGHT, ADD_CHECKPOINT) if f"\n{chr(10).join(lines)}\n" not in page] == []
    doctor = "".join(text for name in ("registry_rights", "cluster_checkpoint") for text in BY_NAME[name].actions)
    assert [lines for lines in ((SHOW_RIGHTS,), GRANT_RIGHT, ADD_CHECKPOINT) if f"`{chr(10).join(lines)}`" not in doctor] == []
    assert "Set-ItemProperty -Path $key -Name 'ProxyEnable' -Value 1 -Type DWord" in "\n".join(BY_NAME["service_proxy"].actions)
    assert BY_CODE[2058].commands == (*GRANT_RIGHT, *ADD_CHECKPOINT)
    named = {
        match.rstrip("\\").lower()
        for page in TEXTS
        for match in re.findall(
            r"SOFTWARE\\+Microsoft\\+SQL Server Cryptographic Provider(?:\\+Azure Key Vault)?", (ROOT / page).read_text("utf-8")
        )
    }
    assert {name.replace("\\\\", "\\") for name in named} == {REGISTRY_KEY.lower(), ENTRIES.lower()}
