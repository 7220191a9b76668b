import asyncio
import json
import signal
import socket
import sys
import urllib.error
import urllib.request

import pytest

from exporter.cli.main import main
from exporter.simulator import story
from tests.integration.simulator.test_simulated_configuration import folder
from tests.support.command_lines import with_defaults
from tests.support.patience import PATIENCE
from tests.support.simulated_sql import configuration

__all__ = ["folder"]


async def command(*arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "exporter", *map(str, arguments),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def simulate(folder, *more):
    flags = with_defaults(more, {"--sim.port": "0", "--sim.management-port": "0"})
    return await command("simulate", "--config.file", folder / "main.yml", "--out", folder / "sim", *flags)


async def banner(process):
    """The printed banner, up to its last line."""
    lines = []
    async with asyncio.timeout(PATIENCE):
        while not lines or not lines[-1].startswith("stop:"):
            lines.append((await process.stdout.readline()).decode())
            assert lines[-1], (await process.stderr.read()).decode()
    return "".join(lines)


async def end(process):
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_banner_names_the_simulator_and_a_signal_stops_it(folder, number):
    process = await simulate(folder)
    printed = await banner(process)
    assert "THIS IS A SIMULATOR" in printed
    assert f"run --config.file {folder}/sim/ekm.yml" in printed
    assert (folder / "sim" / "ca.pem").read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    process.send_signal(number)
    assert await end(process) == (0, "", "")


async def test_changed_route_is_written_and_printed(folder):
    process = await simulate(folder)
    url = (await banner(process)).partition("management port: ")[2].partition("\n")[0]
    body = json.dumps({"vault": "contoso-one", "scenario": "vault_deleted"}).encode()
    await asyncio.to_thread(post, url + "/sim/fault", body)
    assert b"reload the exporter" in await process.stdout.readline()
    assert "contoso-one.invalid:443" in (folder / "sim" / "ekm.yml").read_text()
    process.terminate()
    assert (await end(process))[0] == 0


def post(url, body):
    with urllib.request.urlopen(url, data=body, timeout=PATIENCE) as answer:  # noqa: S310 - the simulator's own address
        return answer.read()


def refused(folder, capsys, *more):
    """The output of a command that starts no simulator."""
    assert main(["simulate", "--config.file", str(folder / "main.yml"), "--out", str(folder / "sim"), *map(str, more)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_bad_configuration_is_refused_line_by_line(folder, capsys):
    (folder / "more.yml").write_text("targets: [{name: second}]\n")
    assert "more.yml:1:" in refused(folder, capsys)


async def test_port_in_use_is_one_line(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await simulate(folder, "--sim.port", taken.getsockname()[1])
        code, out, err = await end(process)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "a port is in use: choose others with --sim.port" in err


async def test_out_that_is_a_file_is_one_line_with_the_action(folder):
    (folder / "sim").write_text("")
    code, out, err = await end(await simulate(folder))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "sim: file exists: name a folder that you may write" in err


async def test_arc_token_folder_is_used_and_a_missing_one_refused(folder):
    missing = await end(await simulate(folder, "--sim.arc-token-folder", folder / "missing"))
    assert (missing[0], "no folder for the keys of Azure Arc" in missing[2]) == (2, True)
    (folder / "tokens").mkdir()
    process = await simulate(folder, "--sim.arc-token-folder", folder / "tokens")
    url = (await banner(process)).partition("management port: ")[2].partition("\n")[0]
    status = await asyncio.to_thread(challenged, f"{url}/arc/metadata/identity/oauth2/token?api-version=2020-06-01&resource=x")
    process.terminate()
    assert (status, (await end(process))[0]) == (401, 0)


def challenged(url):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, headers={"Metadata": "true"}), timeout=PATIENCE)  # noqa: S310 - the simulator's own address
    caught.value.close()
    return caught.value.code


@pytest.fixture
def sql_folder(folder):
    configuration(folder)
    (folder / "ekm.yml").rename(folder / "main.yml")
    return folder


async def test_sql_servers_are_printed_and_listed_in_a_file(sql_folder):
    (sql_folder / "password").write_text("marked-password\n")
    process = await simulate(sql_folder, "--sql", "--sql.password.file", sql_folder / "password")
    printed = await banner(process)
    process.terminate()
    assert (await end(process))[0] == 0
    listed = (sql_folder / "sim" / "sql-servers.txt").read_text().splitlines()
    assert [line.partition("# ")[2] for line in listed] == ["N1\\SQLPRD01", "N2\\SQLPRD01", "N3"]
    assert all(line.partition(",")[2].partition(" ")[0] in printed for line in listed)
    assert "SQL Servers:         3, login ekm" in printed
    assert "marked-password" not in printed


def test_sql_without_instances_is_one_line_with_the_action(sql_folder, capsys):
    configured = (sql_folder / "main.yml").read_text()
    (sql_folder / "main.yml").write_text("".join(line + "\n" for line in configured.splitlines() if "instances:" not in line))
    err = refused(sql_folder, capsys, "--sql")
    assert err.count("\n") == 1
    assert "no target has `instances`" in err


@pytest.mark.parametrize("content", [None, ""])
def test_unusable_password_file_is_one_line(sql_folder, capsys, content):
    if content is not None:
        (sql_folder / "password").write_text(content)
    err = refused(sql_folder, capsys, "--sql", "--sql.password.file", sql_folder / "password")
    assert err.count("\n") == 1
    assert "password" in err


async def test_demo_simulator_ends_with_its_parent_and_its_folder(tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()
    config = story.write_demo(folder)
    ports = ("--sim.port", "0", "--sim.management-port", "0")
    process = await command("simulate", "--for-demo", "--config.file", config, "--out", folder / "out", *ports)
    async with asyncio.timeout(PATIENCE):
        assert (await process.stdout.readline()).startswith(b"management port: http://127.0.0.1:")
    assert "contoso-archive.invalid:443" in (folder / "out" / "ekm.yml").read_text()
    process.stdin.close()
    assert await end(process) == (0, "", "")
    assert not folder.exists()
