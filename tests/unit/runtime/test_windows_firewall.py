"""The commands that change the firewall of Windows."""

import subprocess
from types import SimpleNamespace

import pytest

from exporter.windows import service
from exporter.windows.service import FirewallError


@pytest.fixture
def netsh(monkeypatch):
    """The calls of netsh, which all end with `code`."""
    found = SimpleNamespace(calls=[], code=0)

    def run(command, **_):
        found.calls.append(command[3:])
        return SimpleNamespace(returncode=found.code, stdout=b"refused")

    monkeypatch.setattr(subprocess, "run", run)
    return found


@pytest.mark.parametrize("name", ["ekm", "all"])
def test_rule_of_a_service_is_replaced_and_no_other(netsh, name):
    service.set_rule(name, 10377, ("10.1.2.3", "10.1.2.0/24"))
    removed, added = netsh.calls
    assert removed == ["delete", "rule", f"name=ekm-exporter: {name}"]
    assert added[:3] == ["add", "rule", f"name=ekm-exporter: {name}"]
    assert added[-2:] == ["localport=10377", "remoteip=10.1.2.3,10.1.2.0/24"]


def test_missing_rule_is_no_error_and_a_refused_one_is(netsh):
    netsh.code = 1
    service.set_rule("ekm", 0, ())
    with pytest.raises(FirewallError, match="refused"):
        service.set_rule("ekm", 1, ("10.1.2.3",))
