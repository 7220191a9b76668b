"""What a bug prints: a class by default, a traceback with EKM_DEBUG; a secret in neither, whatever the texts of exceptions hold."""

import pytest

from exporter.cli import explain
from exporter.cli.main import main
from exporter.core.known_secrets import remember
from tests.system.abuse.echoes import ENCODINGS, leaks

SECRET = "Marked~secret+of/a=crash"


@pytest.fixture
def crashing(monkeypatch):
    def crash(said):
        def handler(_args):
            cause = ValueError(f"request body: client_secret={said}&scope=x")
            cause.add_note(f"sent {said}")
            raise RuntimeError({"answer": said}) from cause

        monkeypatch.setattr(explain, "explain", handler)
        return main(["explain", "3303"])

    return crash


@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_crash_prints_no_secret_of_any_exception_in_the_chain(crashing, capsys, monkeypatch, encoding, debug):
    remember(SECRET)
    monkeypatch.setenv("EKM_DEBUG", debug)
    assert crashing(ENCODINGS[encoding](SECRET)) == 3
    printed = "".join(capsys.readouterr())
    assert "RuntimeError" in printed
    assert ("Traceback" in printed) is bool(debug)
    assert leaks(printed, SECRET) == []
