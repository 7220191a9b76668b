"""`audit KEY` prints what a running exporter knows of a key; a throttled vault leads to the query of its callers."""

import asyncio
import json
import re

import pytest

from exporter.sqlserver.audit import sheet
from tests.support.patience import PATIENCE

SILENT = "http://127.0.0.1:1"
UNKNOWN = "no target and no key 'find' (did you mean 'fine'?): write a target's name, KEY/VERSION or the key's URI"
KEY_A = "KeyA/4f1c8e2a9b7d4036a5e1c7f20b9d8346"


@pytest.fixture
async def audited(exporter, get):
    """The URL of an exporter that has unwrapped with the key of `fine`."""
    _, url = await exporter()
    async with asyncio.timeout(PATIENCE):
        while json.loads((await get(f"{url}/api/v1/targets/fine"))[1])["last_unwrap"] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # the other process sends no event
    return url


@pytest.mark.parametrize("key", ["fine", KEY_A, f"https://vault-fine.vault.azure.net/keys/{KEY_A}"])
async def test_key_is_audited_by_target_version_or_uri(plain_command, audited, key):
    running = await plain_command("audit", key, "--url", audited)
    assert await running.end() == 0, running.text
    shown = "".join(running.out)
    assert shown.startswith("Audit of key KeyA\n\nIn short\n")
    assert re.search(r"^last proven by probe +20\d\d-\d\d-\d\d \d\d:\d\d UTC \(\d+s ago\)$", shown, re.MULTILINE)
    assert "az keyvault show --name vault-fine --query id" in shown
    assert "2b8e4d70-6c1f-4a95-8d23-9f0e5b7a1c64" in shown  # the client id of the credential
    assert "MARKED" not in shown


async def test_every_format_is_written(plain_command, audited, tmp_path):
    running = await plain_command("audit", "fine", "--url", audited, "--out", tmp_path / "sheets")
    assert await running.end() == 0, running.text
    names = [f"ekm-audit-vault-fine-KeyA.{ending}" for ending in ("txt", "json", "html")]
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == sorted(names)
    facts = json.loads((tmp_path / "sheets" / names[1]).read_text())
    assert len(sheet(facts)) == 8
    html = (tmp_path / "sheets" / names[2]).read_text()
    assert html.startswith("<!DOCTYPE html>")
    assert "<h2>Who may unwrap</h2>" in html
    assert "<script" not in html


async def test_unknown_key_is_one_line(plain_command, audited):
    running = await plain_command("audit", "find", "--url", audited)
    assert await running.end() == 2
    assert running.text == f"ekm-exporter audit: {UNKNOWN}\n"


async def test_exporter_that_does_not_answer_is_named(plain_command):
    running = await plain_command("audit", "fine", "--url", SILENT)
    assert await running.end() == 3
    assert running.text.startswith("ekm-exporter audit: ")
    assert running.text.count("\n") == 1
    assert "127.0.0.1:1" in running.text
