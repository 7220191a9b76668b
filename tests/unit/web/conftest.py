"""A folder with a certificate and its key, in which tests write web configurations."""

import pytest

from exporter.web.config_file import load
from tests.unit.web.authority import authority


class Folder:
    """A folder of tests: `write` writes a web configuration or any file, `load` reads it."""

    def __init__(self, path):
        self.path = path
        self.place("server", authority().server())
        (path / "ca.pem").write_bytes(authority().pem)

    def place(self, name, pair):
        for suffix, data in zip(("pem", "key"), pair, strict=True):
            file = self.path / f"{name}.{suffix}"
            file.write_bytes(data)
            file.chmod(0o600)

    def write(self, text, name="web.yml"):
        (self.path / name).write_text(text)
        return self.path / name

    def load(self, text):
        return load(self.write(text))

    def problems(self, text):
        """Return the problems, one line each, without the name of the folder."""
        loaded = self.load(text)
        assert (loaded.config is None) == bool(loaded.problems)
        return [str(problem).replace(f"{self.path}/", "") for problem in loaded.problems]

    def warnings(self, text):
        loaded = self.load(text)
        assert loaded.problems == ()
        return [str(warning).replace(f"{self.path}/", "") for warning in loaded.warnings]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)
