"""Settings and secrets of an installation, and its removal, on a stand-in for Windows."""

import pytest

from exporter.windows import install
from exporter.windows.install import RefusedError, StillThereError
from exporter.windows.rules import ServiceDefinition, ServiceState
from exporter.windows.service import RUNNING

SERVICE = ServiceDefinition(name="ekm", command="p", account="a")


def test_damaged_settings_are_refused_with_what_to_do(tmp_path):
    (tmp_path / install.SETTINGS).write_text("{")
    with pytest.raises(RefusedError, match="delete this file"):
        install.read_settings(tmp_path)
    assert install.read_settings(tmp_path / "new") is None


def test_removal_stops_and_deletes_and_keeps_the_data(tmp_path, windows):
    windows.service, windows.current = SERVICE, ServiceState(RUNNING)
    (tmp_path / "ekm.yml").touch()
    install.remove(tmp_path, "ekm", windows, windows, data=False)
    assert windows.done == ["stop", "delete", ("admit", "ekm", 0), "no source ekm"]
    assert (tmp_path / "ekm.yml").exists()


def test_removal_can_run_twice_and_delete_the_data(tmp_path, windows):
    base = tmp_path / "base"
    base.mkdir()
    (base / "ekm.yml").touch()
    for _ in range(2):
        install.remove(base, "ekm", windows, windows, data=True)
    assert "stop" not in windows.done
    assert not base.exists()


def test_service_that_does_not_stop_is_not_deleted(tmp_path, windows, monkeypatch):
    monkeypatch.setattr(install, "STOP_SECONDS", 0.0)
    windows.service, windows.current, windows.stops = SERVICE, ServiceState(RUNNING), False
    with pytest.raises(StillThereError, match="task manager"):
        install.remove(tmp_path, "ekm", windows, windows, data=True)
    assert "delete" not in windows.done


def test_service_that_a_program_shows_is_named_after_the_firewall_is_closed(tmp_path, windows, monkeypatch):
    monkeypatch.setattr(install, "DELETE_SECONDS", 0.0)
    windows.service = SERVICE
    monkeypatch.setattr(windows, "delete", lambda _name: None)
    (tmp_path / "ekm.yml").touch()
    with pytest.raises(StillThereError, match=r"services\.msc"):
        install.remove(tmp_path, "ekm", windows, windows, data=True)
    assert windows.done == [("admit", "ekm", 0), "no source ekm"]
    assert not tmp_path.exists()


def test_secret_is_written_into_a_protected_folder(tmp_path, windows):
    (tmp_path / "secrets").mkdir()  # by a user, before the first installation
    path = install.write_secret(tmp_path, "s", "gehëim", windows)
    assert path.read_bytes() == "gehëim".encode()
    assert windows.done == ["protect secrets"]
    (tmp_path / install.SETTINGS).touch()
    install.write_secret(tmp_path, "s", "other", windows)
    assert windows.done == ["protect secrets"]
    assert [one.name for one in path.parent.iterdir()] == ["s"]
