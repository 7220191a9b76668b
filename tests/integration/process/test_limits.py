"""An exporter whose system grants few open files or threads probes with fewer at once, or names the limit in one line."""

import asyncio
import re
from datetime import date

import pytest

from exporter.config.schema import dump_yaml
from exporter.config.settings import Module, Settings
from tests.integration.process.conftest import fetch
from tests.support.factories import a_config, a_credential, a_target
from tests.support.patience import PATIENCE
from tests.support.values import replace

TARGETS = 60
FEW_THREADS = """
import os, threading
start, most = threading.Thread.start, int(os.environ["THREADS"])
def few(thread):
    if threading.active_count() > most:
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = few
"""


@pytest.fixture
async def silent(tmp_path):
    """A configuration whose vaults accept connections and never answer, so each probe holds what it opened until its timeout."""

    async def wait(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    (tmp_path / "secret").write_text("MARKED~secret.of.nobody")
    (tmp_path / "secret").chmod(0o600)
    targets = [
        replace(a_target(f"t{n}", vault=f"v{n}.vault.azure.net", credential="sql"), interval=60.0, timeout=1.0)
        for n in range(TARGETS)
    ]
    module = Module(name="default", connect_to={f"{each.vault}:443": f"127.0.0.1:{port}" for each in targets})
    config = a_config(
        *targets,
        credentials=[
            a_credential(
                "sql", file=tmp_path / "secret", client_id="2b8e4d70-6c1f-4a95-8d23-9f0e5b7a1c64", expires_on=date(2099, 1, 1)
            )
        ],
        modules=(module,),
        settings=Settings(interval=60.0, timeout=1.0),
    )
    (tmp_path / "ekm.yml").write_text(dump_yaml(config))
    async with server:
        yield ("run", "--config.file", tmp_path / "ekm.yml", "--web.listen-address", "127.0.0.1:0")


async def results(running, samples, wanted=TARGETS):
    """The results of targets, once so many have one."""
    url = (await running.output(r"url=(http://\S+)"))[1]
    async with asyncio.timeout(PATIENCE):
        while len(found := samples((await fetch(f"{url}/metrics"))[1], "ekm_probe_success")) < wanted:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.25)
    return found


async def test_few_files_lower_the_number_of_probes_at_once(plain_command, silent, samples):
    running = await plain_command(*silent, files=64)
    assert await results(running, samples) == [0.0] * TARGETS
    assert running.text.count("fewer probes at once") == 1
    assert "internal error" not in running.text
    assert await running.stop() == 0


async def test_too_few_files_are_one_line_that_names_how_many_are_enough(plain_command, silent, samples):
    running = await plain_command(*silent, files=20)
    assert await running.end() == 2
    (line,) = running.err
    enough = re.search(r"may open 20 files, and needs at least (\d+)", line)
    running = await plain_command(*silent, files=int(enough[1]))
    assert set(await results(running, samples, wanted=2)) == {0.0}
    assert await running.stop() == 0


async def test_too_few_threads_are_one_line_that_names_how_many_are_enough(plain_command, silent, samples, tmp_path):
    """The interpreter grants them: a limit of the system would count every process of the user, and none of root."""
    (tmp_path / "sitecustomize.py").write_text(FEW_THREADS)
    running = await plain_command(*silent, PYTHONPATH=f"{tmp_path}:.", THREADS="0")
    assert await running.end() == 2
    (line,) = running.err
    enough = re.search(r"grants this process 0 more threads, and it needs at least (\d+)", line)
    running = await plain_command(*silent, PYTHONPATH=f"{tmp_path}:.", THREADS=enough[1])
    assert set(await results(running, samples, wanted=2)) == {0.0}
    assert await running.stop() == 0
