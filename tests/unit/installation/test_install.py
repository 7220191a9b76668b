"""The steps of an installation, on a stand-in for Windows."""

from dataclasses import replace
from pathlib import Path, PureWindowsPath

import pytest

from exporter.installation import data, files, install, service_states
from exporter.installation.data import RefusedError
from exporter.installation.install import BadConfigurationError, Installation, NotRunningError
from exporter.installation.plan import Action, InstallationPlan
from exporter.installation.service_states import StillThereError
from exporter.installation.settings import ServiceSettings, service_command
from exporter.runtime.windows.service_control import RUNNING, START_PENDING, STOP_PENDING, STOPPED
from exporter.runtime.windows.service_definition import ServiceDefinition, ServiceState
from exporter.runtime.windows.service_manager import RELOAD, STOP

SETTINGS = ServiceSettings(name="ekm", version="1", address=":10377", prometheus=("10.1.2.3",))
SERVICE = ServiceDefinition(name="ekm", command="p --base x", account="a")
GOOD = """credentials:
  c: {type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: secrets/s}
targets: [{name: t, vault: contoso, key: K/00000000000000000000000000000000, credential: c}]
"""
SECRET = b"x" * 30


class Windows:
    """Service manager and surroundings; `done` has what was requested of them, in order."""

    def __init__(self):
        self.done, self.service, self.current = [], None, ServiceState(STOPPED)
        self.coming = [ServiceState(START_PENDING), ServiceState(RUNNING)]  # after a start
        self.stops = True

    def find(self, _name):
        return self.service

    def save(self, wanted):
        self.done.append(("save", wanted.command))
        self.service = wanted
        return ("a warning",)

    def state(self, _name):
        if self.service is None:
            return None
        if self.coming and self.current.state in (START_PENDING, STOP_PENDING):
            self.current = self.coming.pop(0)
        return self.current

    def start(self, _name):
        self.done.append("start")
        self.current = self.coming.pop(0)

    def control(self, _name, control):
        self.done.append({STOP: "stop", RELOAD: "reload"}[control])
        if control == STOP and self.stops:
            self.current, self.coming = ServiceState(STOP_PENDING), [ServiceState(STOPPED), *self.coming]

    def delete(self, _name):
        self.done.append("delete")
        self.service = None

    def protect(self, base, _settings):
        self.done.append("protect")
        self.files_at_protection = [path.name for path in Path(base).rglob("*") if path.is_file()]

    def protect_secrets(self, folder):
        self.done.append(f"protect {folder.name}")

    def add_source(self, name):
        self.done.append(f"source {name}")

    def remove_source(self, name):
        self.done.append(f"no source {name}")

    def admit(self, name, port, addresses):
        self.done.append(f"admit {name} {port} {' '.join(addresses)}")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(service_states, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def windows():
    return Windows()


@pytest.fixture
def this(tmp_path):
    changes = {"ekm.yml": GOOD.encode(), "secrets/s": SECRET}
    return Installation(
        base=tmp_path / "base",
        settings=SETTINGS,
        service=SERVICE,
        changes=changes,
        plan=InstallationPlan((), Action.START),
    )


def test_installation_protects_before_it_writes_and_registers_before_it_starts(this, windows):
    assert install.install(this, windows, windows) == ("a warning",)
    assert windows.done == ["protect", ("save", SERVICE.command), "source ekm", "admit ekm 10377 10.1.2.3", "start"]
    assert windows.files_at_protection == []
    assert (this.base / "secrets" / "s").read_bytes() == SECRET
    assert data.read_settings(this.base) == SETTINGS


def test_configuration_with_problems_changes_nothing(this, windows):
    this.base.mkdir()
    (this.base / "ekm.yml").write_text("old")
    with pytest.raises(BadConfigurationError) as caught:
        install.install(replace(this, changes={"ekm.yml": b"targets: 1", "secrets/s": SECRET}), windows, windows)
    assert caught.value.loaded.problems
    assert windows.done == ["protect"]
    assert [path.name for path in this.base.rglob("*") if path.is_file()] == ["ekm.yml"]
    assert (this.base / "ekm.yml").read_text() == "old"


def test_installation_without_a_configuration_starts_nothing(this, windows):
    install.install(replace(this, changes={}, plan=InstallationPlan((), Action.NOTHING)), windows, windows)
    assert "start" not in windows.done
    assert windows.service == SERVICE


def test_restart_waits_for_the_end_of_the_process(this, windows):
    windows.service, windows.current = SERVICE, ServiceState(RUNNING)
    install.install(replace(this, plan=InstallationPlan((), Action.RESTART)), windows, windows)
    assert windows.done[-2:] == ["stop", "start"]
    assert windows.current.state == RUNNING


def test_changed_configuration_of_a_running_service_is_reloaded(this, windows):
    windows.service, windows.current = SERVICE, ServiceState(RUNNING)
    install.install(replace(this, plan=InstallationPlan((), Action.RELOAD)), windows, windows)
    assert windows.done[-1] == "reload"
    assert "start" not in windows.done


def test_failed_start_names_exit_code_and_what_was_logged(this, windows):
    windows.coming = [ServiceState(START_PENDING), ServiceState(STOPPED, 2)]
    log = this.base / install.LOG
    log.parent.mkdir(parents=True)
    log.write_text("of yesterday\n")
    start = windows.start

    def logging_start(name):
        log.write_text("of yesterday\nport in use\n")
        start(name)

    windows.start = logging_start
    with pytest.raises(
        NotRunningError,
        match=r"ended with exit code 2\. The end of [^\n]+:\nport in use\nCorrect the cause, then run the same command again\.$",
    ):
        install.install(this, windows, windows)
    assert data.read_settings(this.base) == SETTINGS


def test_failed_start_without_a_log_names_its_place(this, windows):
    windows.coming = [ServiceState(STOPPED, 1)]
    with pytest.raises(NotRunningError, match="has written no log"):
        install.install(this, windows, windows)


def test_start_that_takes_too_long_is_an_error(this, windows, monkeypatch):
    monkeypatch.setattr(service_states, "START_SECONDS", 0.0)
    windows.coming = [ServiceState(START_PENDING)]
    with pytest.raises(NotRunningError, match=r"has not started within a minute(.|\n)*run the same command again"):
        install.install(this, windows, windows)


def test_failed_change_restores_the_previous_service_and_configuration(this, windows):
    install.install(this, windows, windows)
    windows.done.clear()
    windows.coming = [ServiceState(START_PENDING), ServiceState(STOPPED, 2), ServiceState(RUNNING)]
    changed = replace(
        this,
        settings=replace(SETTINGS, listen=":1"),
        service=replace(SERVICE, command="other"),
        changes={"ekm.yml": GOOD.replace("name: t", "name: u").encode()},
        plan=InstallationPlan((), Action.RESTART),
    )
    with pytest.raises(NotRunningError):
        install.install(changed, windows, windows)
    assert windows.done[-2:] == [("save", SERVICE.command), "start"]
    assert (this.base / "ekm.yml").read_text() == GOOD
    assert data.read_settings(this.base) == SETTINGS
    assert not (this.base / "ekm.yml.old").exists()


def test_start_that_windows_refuses_restores_the_previous_service(this, windows, monkeypatch):
    install.install(this, windows, windows)
    windows.done.clear()

    def refuse(_name):
        raise OSError("logon failure")

    monkeypatch.setattr(windows, "start", refuse)
    with pytest.raises(OSError, match="logon failure"):
        install.install(
            replace(this, service=replace(SERVICE, command="other"), plan=InstallationPlan((), Action.RESTART)), windows, windows
        )
    assert windows.service == SERVICE


def test_settings_of_another_service_refuse_the_folder(tmp_path):
    with pytest.raises(RefusedError, match="folder of the service other"):
        install.check_place(tmp_path, "ekm", ServiceSettings(name="other"), None)


def test_service_of_another_folder_is_refused(tmp_path):
    command = service_command("p", SETTINGS, PureWindowsPath("C:/elsewhere"))
    with pytest.raises(RefusedError, match="service remove --name ekm --base FOLDER"):
        install.check_place(tmp_path, "ekm", None, replace(SERVICE, command=command))


def test_folder_with_files_of_other_programs_is_refused(tmp_path):
    (tmp_path / "other.exe").touch()
    with pytest.raises(RefusedError, match="other programs"):
        install.check_place(tmp_path, "ekm", None, None)


@pytest.mark.parametrize("present", ["app", "ekm.yml", "secrets", None])
def test_own_or_empty_folder_is_accepted(tmp_path, present):
    if present:
        (tmp_path / present).mkdir()
    command = service_command("p", SETTINGS, PureWindowsPath(tmp_path))
    install.check_place(tmp_path, "ekm", None, replace(SERVICE, command=command))
    install.check_place(tmp_path / "new", "ekm", None, None)


def test_damaged_settings_are_refused_with_what_to_do(tmp_path):
    (tmp_path / files.SETTINGS).write_text("{")
    with pytest.raises(RefusedError, match="delete this file, and run service install"):
        data.read_settings(tmp_path)
    assert data.read_settings(tmp_path / "new") is None


def test_removal_stops_and_deletes_and_keeps_the_data(this, windows):
    install.install(this, windows, windows)
    windows.done.clear()
    data.remove(this.base, "ekm", windows, windows, data=False)
    assert windows.done == ["stop", "delete", "admit ekm 0 ", "no source ekm"]
    assert (this.base / "ekm.yml").exists()


def test_removal_can_run_twice_and_delete_the_data(this, windows):
    this.base.mkdir()
    (this.base / "ekm.yml").touch()
    data.remove(this.base, "ekm", windows, windows, data=True)
    assert "stop" not in windows.done
    assert not this.base.exists()


def test_service_that_does_not_stop_is_not_deleted(this, windows, monkeypatch):
    monkeypatch.setattr(service_states, "STOP_SECONDS", 0.0)
    windows.service, windows.current, windows.stops = SERVICE, ServiceState(RUNNING), False
    with pytest.raises(StillThereError, match="task manager"):
        data.remove(this.base, "ekm", windows, windows, data=True)
    assert "delete" not in windows.done


def test_service_that_a_program_shows_is_named(this, windows, monkeypatch):
    monkeypatch.setattr(service_states, "DELETE_SECONDS", 0.0)
    windows.service = SERVICE
    monkeypatch.setattr(windows, "delete", lambda _name: None)
    with pytest.raises(StillThereError, match=r"services\.msc"):
        data.remove(this.base, "ekm", windows, windows, data=False)


def test_secret_is_written_into_a_protected_folder(tmp_path, windows):
    path = data.write_secret(tmp_path, "s", "gehëim", windows)
    assert path.read_bytes() == "gehëim".encode()
    data.write_secret(tmp_path, "s", "other", windows)
    assert windows.done == ["protect secrets"]
    assert [one.name for one in path.parent.iterdir()] == ["s"]
