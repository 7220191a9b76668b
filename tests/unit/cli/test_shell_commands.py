"""Commands for copying are those of the host's shell."""

import pytest

from exporter.cli import simulate
from exporter.cli.simulate import quoted, request, with_variables

URL = "http://127.0.0.1:1/sim/fault"
BODY = '{"sql": "N1"}'


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(simulate, "is_windows", lambda: True)


def test_sh_gets_curl():
    assert request(URL) == f"curl {URL}"
    assert request(URL, "DELETE") == f"curl -X DELETE {URL}"
    assert request(URL, "POST", BODY) == f"curl -d '{BODY}' {URL}"
    assert with_variables({"A": "b c"}, "run") == "A='b c' run"


@pytest.mark.usefixtures("windows")
def test_powershell_gets_its_own_words():
    assert request(URL) == f"irm {URL}"
    assert request(URL, "DELETE") == f"irm -Method DELETE {URL}"
    assert request(URL, "POST", BODY) == f"irm -Method POST -Body '{BODY}' {URL}"
    assert with_variables({"A": "b c"}, "run") == "$env:A = 'b c'; run"
    assert quoted("C:\\DBA's") == "'C:\\DBA''s'"
