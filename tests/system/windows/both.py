"""The same command on a Windows host and on this machine."""

import asyncio
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.cli.main import main
from tests.system.windows.host import Finished, Host


def shown(done: Finished) -> tuple[int, str, str]:
    """What a command printed, without the separator of paths and the lines of progress, which a slow computer prints more often."""
    progress = re.sub(r"(\d+ of \d+ read, \d+ failed\n)(?=\d+ of )", "", done.err)
    return done.code, done.out.replace("\\", "/"), progress.replace("\\", "/")


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without the moments of readings."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: re.sub(rb'("read_at(?:_utc)?": )"[^"]*"', rb"\1", content) for name, content in found.items()}


@dataclass
class Both:
    """Runs commands in one folder, with paths relative to it."""

    host: Host
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def here(self, *arguments: object) -> Finished:
        code = main([str(one) for one in arguments])
        return Finished(code, *self.capsys.readouterr())

    def there(self, *arguments: object, **options: Any) -> Finished:
        return self.host.run(*arguments, cwd=self.folder, **options)

    def same(self, *arguments: object, writes: tuple[str, ...] = ()) -> Finished:
        """What the command printed and wrote on Windows, which is the same here. Blocks."""
        there = self.there(*arguments)
        written = [files_in(self.folder / name) for name in writes]
        for name in writes:
            shutil.rmtree(self.folder / name)
        assert shown(there) == shown(self.here(*arguments))
        assert written == [files_in(self.folder / name) for name in writes]
        return there

    async def same_soon(self, *arguments: object, writes: tuple[str, ...] = ()) -> Finished:
        """As `same`, while servers of this process respond."""
        return await asyncio.to_thread(self.same, *arguments, writes=writes)


@pytest.fixture
def both(host, tmp_path, monkeypatch, capsys) -> Both:
    folder = tmp_path / "Prüfung im März"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Both(host, folder, capsys)
