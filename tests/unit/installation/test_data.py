"""Settings and secrets of an installation, and its removal, on a stand-in for Windows."""

import pytest

from exporter.installation import data, files, service_states
from exporter.installation.data import RefusedError
from exporter.installation.service_states import StillThereError
from exporter.runtime.windows.service_control import RUNNING
from exporter.runtime.windows.service_definition import ServiceDefinition, ServiceState

SERVICE = ServiceDefinition(name="ekm", command="p", account="a")


def test_damaged_settings_are_refused_with_what_to_do(tmp_path):
    (tmp_path / files.SETTINGS).write_text("{")
    with pytest.raises(RefusedError, match="delete this file"):
        data.read_settings(tmp_path)
    assert data.read_settings(tmp_path / "new") is None


def test_removal_stops_and_deletes_and_keeps_the_data(tmp_path, windows):
    windows.service, windows.current = SERVICE, ServiceState(RUNNING)
    (tmp_path / "ekm.yml").touch()
    data.remove(tmp_path, "ekm", windows, windows, data=False)
    assert windows.done == ["stop", "delete", ("admit", "ekm", 0), "no source ekm"]
    assert (tmp_path / "ekm.yml").exists()


def test_removal_can_run_twice_and_delete_the_data(tmp_path, windows):
    base = tmp_path / "base"
    base.mkdir()
    (base / "ekm.yml").touch()
    for _ in range(2):
        data.remove(base, "ekm", windows, windows, data=True)
    assert "stop" not in windows.done
    assert not base.exists()


def test_service_that_does_not_stop_is_not_deleted(tmp_path, windows, monkeypatch):
    monkeypatch.setattr(service_states, "STOP_SECONDS", 0.0)
    windows.service, windows.current, windows.stops = SERVICE, ServiceState(RUNNING), False
    with pytest.raises(StillThereError, match="task manager"):
        data.remove(tmp_path, "ekm", windows, windows, data=True)
    assert "delete" not in windows.done


def test_service_that_a_program_shows_is_named_after_the_firewall_is_closed(tmp_path, windows, monkeypatch):
    monkeypatch.setattr(service_states, "DELETE_SECONDS", 0.0)
    windows.service = SERVICE
    monkeypatch.setattr(windows, "delete", lambda _name: None)
    (tmp_path / "ekm.yml").touch()
    with pytest.raises(StillThereError, match=r"services\.msc"):
        data.remove(tmp_path, "ekm", windows, windows, data=True)
    assert windows.done == [("admit", "ekm", 0), "no source ekm"]
    assert not tmp_path.exists()


def test_secret_is_written_into_a_protected_folder(tmp_path, windows):
    (tmp_path / "secrets").mkdir()  # by a user, before the first installation
    path = data.write_secret(tmp_path, "s", "gehëim", windows)
    assert path.read_bytes() == "gehëim".encode()
    assert windows.done == ["protect secrets"]
    (tmp_path / files.SETTINGS).touch()
    data.write_secret(tmp_path, "s", "other", windows)
    assert windows.done == ["protect secrets"]
    assert [one.name for one in path.parent.iterdir()] == ["s"]
