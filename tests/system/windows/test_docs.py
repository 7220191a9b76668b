"""A host without internet access has every page and script of its version."""

import pytest

from tests.system.windows.conftest import ROOT


def shipped(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_docs_lists_pages_runbooks_and_scripts(host):
    done = host.run("docs")
    assert done.code == 0
    assert {"doctor", "runbooks/EkmEgressDown", "scripts/prove.sql", "deploy/windows/install-hosts.ps1"} <= set(done.out.split())


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (("docs", "docs\\doctor.md"), "docs/doctor.md"),
        (("script", "prove.sql"), "exporter/sqlserver/scripts/prove.sql"),
        (("script", "install-hosts.ps1"), "deploy/windows/install-hosts.ps1"),
    ],
)
def test_file_is_printed_as_in_the_release(host, command, file):
    done = host.run(*command)
    assert (done.code, done.out) == (0, shipped(file))


def test_unknown_page_names_the_nearest(host):
    done = host.call("cmd", "/c", "app\\ekm-exporter.cmd", "docs", "docter")
    assert (done.code, done.err.splitlines()[-2]) == (2, "ekm-exporter docs: nothing about 'docter' (did you mean 'doctor'?)")
