"""Each command of the README runs and prints the shown output."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
from pathlib import Path

import aiohttp
import pytest

from exporter.config.load import load_config
from tests.support.patience import PATIENCE
from tests.support.transcripts import Transcript, missing, transcript

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")

ANOTHER = "In another terminal"  # no variable is exported yet


def shown(text: str) -> Transcript:
    found: Transcript = []
    for part in re.split(f"(?={ANOTHER})", text):
        if part.startswith(ANOTHER):
            found.append((ANOTHER, []))
        found += transcript(part)
    return found


COMMANDS = shown(README)
# Commands that do not end by themselves, and the output that shows their start.
LASTING = {"./dev demo": "Within a minute", "ekm-exporter simulate": "stop: ", "ekm-exporter run": "msg=listening"}
FRESH = {**os.environ, "NO_COLOR": "1"}
LEFT_TO_CI = "./dev test"  # runs this test


def lasting(command: str) -> str | None:
    return next((words for start, words in LASTING.items() if start in command), None)


class Terminal:
    """Run commands in a copy of the visible files of the repository, with the exported variables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = dict(FRESH)
        self.lasting: list[tuple[asyncio.subprocess.Process, list[str], asyncio.Task[None]]] = []

    async def run(self, command: str) -> str:
        if command == ANOTHER:
            self.environment = dict(FRESH)
            return ""
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = value
            return ""
        process = await asyncio.create_subprocess_shell(
            f"exec {command}" if lasting(command) else command,
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        words = lasting(command)
        if words is None:
            async with asyncio.timeout(PATIENCE):
                out, _ = await process.communicate()
            return out.decode()
        return await self._follow(process, words)

    async def _follow(self, process: asyncio.subprocess.Process, words: str) -> str:
        lines: list[str] = []

        async def read() -> None:
            async for line in process.stdout:
                lines.append(line.decode())  # noqa: PERF401 - the caller reads the lines meanwhile

        self.lasting.append((process, lines, asyncio.create_task(read())))
        async with asyncio.timeout(PATIENCE):
            while words not in "".join(lines):
                assert process.returncode is None, "".join(lines)
                await asyncio.sleep(0.05)
        return "".join(lines)

    async def stop_everything(self) -> list[int]:
        codes = []
        for process, _, reader in self.lasting:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            async with asyncio.timeout(PATIENCE):
                codes.append(await process.wait())
                await reader
        self.lasting.clear()
        return codes


@pytest.fixture
async def terminal(tmp_path):
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    shutil.copy(ROOT / "dev", tmp_path / "dev-of-the-copy")
    terminal = Terminal(tmp_path)
    yield terminal
    await terminal.stop_everything()


def test_readme_starts_with_demo_and_test():
    assert [command for command, _ in COMMANDS if command.startswith("./dev")] == ["./dev demo", "./dev test"]
    assert COMMANDS[0][0] == "./dev demo"
    assert "./dev test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_readme_shows_the_last_line_of_the_test_run():
    """The last line of the test run; this test is part of that run."""
    shown_lines = next(lines for command, lines in COMMANDS if command == LEFT_TO_CI)
    assert [line for line in shown_lines if line != "..."] == ["dev: every check passed"]
    assert 'log "every check passed${1:+' in (ROOT / "dev").read_text(encoding="utf-8")


async def test_readme_demo_prints_what_is_shown(terminal):
    """Run `./dev demo` on its usual port, then the next command until all lines are printed."""
    terminal.folder = ROOT
    (command, first), _, (scrape, lines) = COMMANDS[:3]
    assert missing(first, await terminal.run(command)) == []
    async with asyncio.timeout(PATIENCE):
        while still := missing(lines, seen := await terminal.run(scrape)):
            lines = still  # a line counts if it was printed once: the faults of the vaults come and go
            await asyncio.sleep(0.5)
    assert "ekm_last_failure_info" in seen
    async with aiohttp.ClientSession() as session, session.get("http://127.0.0.1:10377/") as answer:
        page = await answer.text()
    assert answer.status == 200
    assert {"3011", "3303", "3900"} & set(re.findall(r"\b3\d{3}\b", page))
    assert await terminal.stop_everything() == [0]


async def test_readme_command_prints_what_is_shown(terminal):
    for command, lines in COMMANDS[3:]:
        if command != LEFT_TO_CI:
            output = await terminal.run(command)
            assert missing(lines, output) == [], f"{command}\n{output}"


def test_readme_configuration_loads(tmp_path, monkeypatch):
    block = re.search(r"```yaml\n(global:.*?)```", README, re.DOTALL)
    monkeypatch.setenv("EKM_SQL_PROD", "not-a-secret")
    (tmp_path / "ekm.yml").write_text(block[1])
    assert load_config(tmp_path / "ekm.yml").problems == ()
