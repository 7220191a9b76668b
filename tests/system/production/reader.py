"""A DBA who follows docs/production.md on Linux: types each command of the page, and replaces what a reader must replace."""

import asyncio
import contextlib
import grp
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.patience import PATIENCE
from tests.support.transcripts import Transcript, blocks, missing, section, transcript
from tests.system.alerts.starter.installed import command_of
from tests.system.prometheus.servers import running

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
STEPS = range(1, 10)
PROGRAMS = Path(sys.executable).parent
# Commands that are not run: the beginning, and what the test does instead.
BY_HAND = {
    "useradd ": "the test needs no account: the files belong to its own group",
    "python3 -m venv ": "the program of this environment is there; test_wheel.py installs a wheel",
    "/opt/ekm-exporter/bin/pip ": "as above; test_page.py compares the lines with docs/install.md",
    "sqlcmd ": "the simulated SQL Servers have the login",
    "cd ": "changes the folder",
    "systemctl daemon-reload": "there is no systemd",
    "systemctl enable --now ekm-exporter": "starts the command of the installed unit",
}


def step(number: int) -> Transcript:
    return transcript(section(PAGE, f"{number} "))


def block(number: int, language: str) -> str:
    """Return the one block of a language in a step."""
    (found,) = blocks(section(PAGE, f"{number} "), language)
    return found


@dataclass
class Reader:
    """`place` replaces the root of the host. `words` are the names that a reader replaces. `typed` has the secrets, in the order of the page."""

    place: Path
    words: dict[str, str]
    typed: list[str]
    done: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = self.place
        (self.place / "units").mkdir()
        (self.place / "bin").mkdir()
        (self.place / "ekm-exporter.service").write_text((ROOT / "deploy/systemd/ekm-exporter.service").read_text())
        self.words |= {
            "/etc/ekm-exporter": str(self.place / "etc"),
            "/etc/systemd/system": str(self.place / "units"),
            "/usr/local/bin": str(self.place / "bin"),
            "/opt/ekm-exporter/bin": str(PROGRAMS),
            "/var/lib/ekm-exporter": str(self.place / "state"),
            "-g ekm-exporter": f"-g {grp.getgrgid(os.getgid()).gr_name}",
        }

    def replaced(self, text: str) -> str:
        for old, new in self.words.items():
            text = text.replace(old, new)
        return text

    async def follow(self, commands: Transcript) -> None:
        """Type the commands, and compare what they print with the page."""
        for command, lines in commands:
            output = await self.types(command, 1 if any(" failed" in line for line in lines) else 0)
            assert missing(lines, output) == [], f"{command}\n{output}"

    async def types(self, command: str, code: int = 0) -> str:
        self.done.append(command)
        if any(map(command.startswith, BY_HAND)):
            if command.startswith("cd "):
                self.folder = Path(self.replaced(command.removeprefix("cd ")))
            return ""
        keyboard, terminal = os.openpty()
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", self.replaced(command)),
            cwd=self.folder,
            env={**os.environ, "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1"},
            stdin=terminal,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        os.close(terminal)
        if "head -n 1" in command:
            os.write(keyboard, f"{self.typed.pop(0)}\n".encode())
        async with asyncio.timeout(PATIENCE):
            out, _ = await process.communicate()
        os.close(keyboard)
        self.outputs.append(out.decode())
        assert process.returncode == code, f"{command}: {process.returncode}\n{out.decode()}"
        return out.decode()

    def saves(self, text: str) -> None:
        """Write what the page shows to the end of `ekm.yml`."""
        with (self.folder / "ekm.yml").open("a", encoding="utf-8") as file:
            file.write(self.replaced(text))

    @contextlib.asynccontextmanager
    async def service(self, address: str):  # type: ignore[no-untyped-def]
        """Run the command of the installed unit, which has no secret of systemd."""
        unit = (self.place / "units" / "ekm-exporter.service").read_text()
        assert not re.search(r"^LoadCredential", unit, re.MULTILINE)
        command, _ = command_of(self.replaced(unit))
        async with running(self.place / "log", *command, f"--web.listen-address={address}"):
            yield
