"""The same command on a Windows host and on this machine."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.cli.main import main
from tests.system.windows.host import Finished, Host


@dataclass
class Both:
    """Runs commands in one folder, with paths relative to it."""

    host: Host
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def here(self, *arguments: object) -> Finished:
        code = main([str(one) for one in arguments])
        return Finished(code, *self.capsys.readouterr())

    def there(self, *arguments: object, **options: object) -> Finished:
        return self.host.run(*arguments, cwd=self.folder, **options)

    def same(self, *arguments: object) -> Finished:
        """What both printed, which is the same but for the separator of paths. Blocks."""
        there, here = self.there(*arguments), self.here(*arguments)
        assert (there.code, there.out.replace("\\", "/"), there.err.replace("\\", "/")) == (
            here.code,
            here.out.replace("\\", "/"),
            here.err.replace("\\", "/"),
        )
        return there

    async def same_soon(self, *arguments: object) -> Finished:
        """As `same`, while servers of this process respond."""
        return await asyncio.to_thread(self.same, *arguments)


@pytest.fixture
def both(host, tmp_path, monkeypatch, capsys) -> Both:
    folder = tmp_path / "Prüfung im März"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Both(host, folder, capsys)
