"""Which folders get rights on Windows; only Windows shows the rights themselves."""

import pytest

from exporter.windows import accounts
from exporter.windows.install import WindowsHost
from exporter.windows.rules import ADMINISTRATORS_ONLY, ServiceSettings


@pytest.fixture
def changed(monkeypatch):
    """The folders whose rights are changed, with the rights."""
    found = {}
    monkeypatch.setattr(accounts, "set_folder_access", lambda folder, rights, keep=(): found.update({folder: (rights, keep)}))
    return found


def test_only_the_given_folders_that_exist_get_rights_and_others_keep_theirs(tmp_path, changed):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "state").mkdir()
    WindowsHost().protect(tmp_path, ServiceSettings(name="ekm"), ("", "secrets", "logs"))
    assert list(changed) == [tmp_path, tmp_path / "secrets"]
    assert changed[tmp_path][1] == tuple(tmp_path / name for name in ("secrets", "state", "logs", "app"))


@pytest.mark.parametrize(("account", "sid"), [("", ";;;S-1-5-80-"), (r"D\m$", ";;;S-1-5-21-7)")])
def test_rights_are_those_of_the_account_of_the_service(tmp_path, monkeypatch, changed, account, sid):
    monkeypatch.setattr(accounts, "account_sid", lambda _account: "S-1-5-21-7")
    WindowsHost().protect(tmp_path, ServiceSettings(name="ekm", account=account), ("",))
    assert sid in changed[tmp_path][0]


def test_secrets_before_an_installation_are_of_administrators_alone(tmp_path, changed):
    WindowsHost().protect_secrets(tmp_path)
    assert changed == {tmp_path: (ADMINISTRATORS_ONLY, ())}
