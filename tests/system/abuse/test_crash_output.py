"""Output of an internal error: a class by default, a traceback with EKM_DEBUG, never a secret."""

import pytest

from exporter.cli import explain
from exporter.cli.main import main
from exporter.core.secrets import remember
from tests.system.abuse.echoes import ENCODINGS, leaks

SECRET = "Marked~secret+of/a=crash"


@pytest.fixture
def crashing(monkeypatch):
    def crash(echo):
        def handler(_args):
            cause = ValueError(f"request body: client_secret={echo}&scope=x")
            cause.add_note(f"sent {echo}")
            raise RuntimeError({"answer": echo}) from cause

        monkeypatch.setattr(explain, "explain_exactly", handler)
        return main(["explain", "3303"])

    return crash


@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_crash_output_has_no_secret_of_the_exception_chain(crashing, capsys, monkeypatch, encoding, debug):
    remember(SECRET)
    monkeypatch.setenv("EKM_DEBUG", debug)
    assert crashing(ENCODINGS[encoding](SECRET)) == 3
    printed = "".join(capsys.readouterr())
    assert "RuntimeError" in printed
    assert ("Traceback" in printed) is bool(debug)
    assert leaks(printed, SECRET) == []
