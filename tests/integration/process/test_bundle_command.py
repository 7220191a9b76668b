"""`ekm-exporter probe --bundle`: a file for a support case, with the real requests and without secrets."""

import asyncio
import errno
import json
import stat
import zipfile

import pytest

from exporter.cli.main import main
from tests.integration.process.conftest import SECRETS


@pytest.fixture
def bundle(command, simulator, tmp_path):
    """Make a bundle of a target. Returns the exit code, the output, and the texts in the file."""

    async def make(target):
        running = await command("probe", target, "--config.file", simulator.config, "--bundle", tmp_path / "case.zip")
        code = await running.end()
        with zipfile.ZipFile(tmp_path / "case.zip") as archive:
            texts = {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}
        return code, running.text, texts

    return make


async def test_bundle_has_the_requests_of_a_failed_probe(bundle, simulator, tmp_path):
    await simulator.break_(vault="vault-broken", scenario="unwrap_forbidden")
    code, output, texts = await bundle("broken")
    assert code == 1, output
    assert "a step failed" in output
    report = json.loads(texts["report.json"])
    assert report["code"] == 3077
    failed = report["history"][0]["steps"][-1]
    assert failed["request_id"] in texts["transcript.txt"]
    assert stat.S_IMODE((tmp_path / "case.zip").stat().st_mode) == 0o600
    assert texts["transcript.txt"].count("  > POST https://vault-broken.vault.azure.net/keys/KeyC/") == 2


@pytest.mark.parametrize("target", ["fine", "typed"])
async def test_bundle_has_no_secret_and_no_secret_path(bundle, simulator, target):
    code, output, texts = await bundle(target)
    assert code == 0, output
    everything = output + "".join(texts.values())
    assert [secret for secret in SECRETS.values() if secret in everything] == []
    assert "MARKED" not in everything
    assert str(simulator.config.parent) not in "".join(texts.values())
    assert "eyJ" not in everything


async def test_bundle_has_no_secret_that_a_server_returned(bundle, simulator):
    await simulator.break_(application="sql-prod", fault="secret_wrong")
    code, _, texts = await bundle("fine")
    assert code == 1
    assert "MARKED" not in "".join(texts.values())


async def test_bundle_overwrites_no_file(simulator, tmp_path, capsys):
    async def refused(target, out):
        arguments = ["probe", target, "--config.file", str(simulator.config), "--bundle", str(tmp_path / out)]
        assert await asyncio.to_thread(main, arguments) == 2
        return "".join(capsys.readouterr())

    (tmp_path / "case.zip").write_text("mine")
    assert "already exists" in await refused("fine", "case.zip")
    assert (tmp_path / "case.zip").read_text() == "mine"
    await refused("fnie", "other.zip")
    assert not (tmp_path / "other.zip").exists()
    expected = "folder.zip: no such file or directory: name a file in a folder that exists"
    assert expected in await refused("fine", "no/such/folder.zip")


async def test_bundle_has_no_name_of_a_windows_device(simulator, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("exporter.cli.probe.is_windows", lambda: True)
    out = tmp_path / "con.zip"
    assert await asyncio.to_thread(main, ["probe", "fine", "--config.file", str(simulator.config), "--bundle", str(out)]) == 2
    assert (
        capsys.readouterr().err
        == f"ekm-exporter probe: --bundle: {out}: Windows takes this name for a device: choose another name\n"
    )
    assert not out.exists()


async def test_bundle_stays_if_its_line_cannot_be_printed(simulator, tmp_path, monkeypatch):
    def full(*_texts, **_options):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("exporter.cli.probe.print", full, raising=False)
    out = tmp_path / "case.zip"
    arguments = ["probe", "fine", "--config.file", str(simulator.config), "--bundle", str(out)]
    assert (await asyncio.to_thread(main, arguments), zipfile.is_zipfile(out)) == (3, True)
