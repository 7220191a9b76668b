import asyncio
import os
import re
import signal
import sys

import aiohttp
import pytest

from exporter.cli.main import main
from tests.support.patience import PATIENCE
from tests.system.prometheus.servers import free_port

CODES = {"3303", "3900", "3077", "3113", "3011"}


async def start(folder, *arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "exporter", "demo", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip


async def codes_on(url):
    """The codes of the last failures in a scrape; empty while the exporter does not listen."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
    except aiohttp.ClientConnectorError:
        return set()
    return {match[1] for match in re.finditer(r'^ekm_last_failure_info\{.*code="(\d+)".*\} 1', text, re.MULTILINE)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_demo_shows_its_codes_and_removes_its_files(tmp_path, number):
    port = free_port()
    process = await start(tmp_path, "--web.listen-address", f"127.0.0.1:{port}")
    wanted, seen = CODES if number == signal.SIGTERM else {"3303"}, set()
    try:
        async with asyncio.timeout(PATIENCE):
            while not wanted <= seen:
                seen |= await codes_on(f"http://127.0.0.1:{port}/metrics")
                await asyncio.sleep(0.25)
    finally:
        process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    assert "THIS IS A DEMO" in out.decode()
    assert "Traceback" not in err.decode()
    assert process.returncode == (0 if number == signal.SIGTERM else -number)
    async with asyncio.timeout(PATIENCE):
        while [path for path in tmp_path.iterdir() if path.name.startswith("ekm-demo-")]:  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.05)


def test_demo_refuses_a_configuration_file(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--config.file", "ekm.yml"])
    assert ended.value.code == 2
    assert "--config.file" in capsys.readouterr().err
