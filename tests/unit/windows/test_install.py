"""The steps of an installation, on a stand-in for Windows."""

from dataclasses import replace

import pytest

from exporter.windows import install
from exporter.windows.install import BadConfigurationError, Installation, NotRunningError, StillThereError
from exporter.windows.rules import Action, Change, Existing, InstallationPlan, ServiceDefinition, ServiceSettings, ServiceState
from exporter.windows.service import RUNNING, START_PENDING, STOP_PENDING, STOPPED, FirewallError

SETTINGS = ServiceSettings(name="ekm", version="1", address=":10377", prometheus=("10.1.2.3",))
SERVICE = ServiceDefinition(name="ekm", command="p --base x", account="a")
GOOD = """credentials:
  c: {type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: secrets/s}
targets: [{name: t, vault: contoso, key: K/00000000000000000000000000000000, credential: c}]
"""
SECRET = b"x" * 30


@pytest.fixture
def this(tmp_path):
    changes = {"ekm.yml": GOOD.encode(), "secrets/s": SECRET}
    return Installation(
        base=tmp_path / "base",
        settings=SETTINGS,
        service=SERVICE,
        found=Existing(service=None, settings=None, is_running=False),
        changes=changes,
        plan=InstallationPlan((), Action.START),
    )


READ, WRITTEN = ("protect", "", "", "secrets"), ("protect", "", "state", "logs")
ADMIT = ("admit", "ekm", 10377, "10.1.2.3")
RESTARTS = ("restarts", 10, 10, 60)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_installation_protects_before_it_writes_and_registers_before_it_starts(this, windows):
    assert install.install(this, windows, windows) == ("a warning", "no restarts")
    assert windows.done == [READ, (*WRITTEN, "app"), ("save", SERVICE.command), "source", ADMIT, "restarts", "start", RESTARTS]
    assert windows.files_at_protection == []
    assert (this.base / "secrets" / "s").read_bytes() == SECRET
    assert install.read_settings(this.base) == SETTINGS


def test_configuration_with_problems_changes_nothing(this, windows):
    this.base.mkdir()
    (this.base / "ekm.yml").write_text("old")
    with pytest.raises(BadConfigurationError) as caught:
        install.install(replace(this, changes={"ekm.yml": b"targets: 1", "secrets/s": SECRET}), windows, windows)
    assert caught.value.loaded.problems
    assert windows.done == [READ]
    assert [path.name for path in this.base.rglob("*") if path.is_file()] == ["ekm.yml"]
    assert (this.base / "ekm.yml").read_text() == "old"


def test_installation_without_a_configuration_starts_nothing(this, windows):
    install.install(replace(this, changes={}, plan=InstallationPlan((), Action.NOTHING)), windows, windows)
    assert "start" not in windows.done
    assert windows.done[-1] == RESTARTS
    assert windows.service == SERVICE


@pytest.fixture
def changed(this, windows):
    """Return a change of an installation that runs, with nothing done yet."""
    install.install(this, windows, windows)
    windows.done.clear()
    windows.coming = [ServiceState(START_PENDING), ServiceState(RUNNING)]
    return replace(
        this,
        settings=replace(SETTINGS, listen=":1", address=":1", account="D\\m$"),
        service=replace(SERVICE, command="other"),
        found=Existing(service=SERVICE, settings=SETTINGS, is_running=True),
        changes={"ekm.yml": GOOD.replace("name: t", "name: u").encode()},
        plan=InstallationPlan((), Action.RESTART),
    )


def test_restart_waits_for_the_end_of_the_process_before_it_protects_what_the_service_writes(changed, windows):
    install.install(changed, windows, windows)
    assert [step if isinstance(step, str) else step[0] for step in windows.done] == [
        *("protect", "stop", "protect", "save", "source", "admit", "restarts", "start", "restarts")
    ]
    assert windows.current.state == RUNNING
    assert (changed.base / "ekm.yml.old").read_text() == GOOD


@pytest.mark.parametrize(("changes", "folders"), [((), ()), ((Change.PROGRAM,), ("app",))])
def test_folders_of_a_service_that_stays_running_are_left_alone(this, windows, changes, folders):
    found = Existing(service=SERVICE, settings=SETTINGS, is_running=True)
    install.install(replace(this, found=found, plan=InstallationPlan(changes, Action.NOTHING)), windows, windows)
    assert windows.done[:2] == [READ, ("protect", "", *folders)]


@pytest.mark.parametrize(("changes", "addresses", "calls"), [((), (), 0), ((), ("10.1.2.3",), 1), ((Change.FIREWALL,), (), 1)])
def test_firewall_is_called_only_for_a_rule_that_is_wanted_or_changed(this, windows, changes, addresses, calls):
    settings = replace(SETTINGS, prometheus=addresses)
    install.install(replace(this, settings=settings, plan=InstallationPlan(changes, Action.NOTHING)), windows, windows)
    assert [step[0] for step in windows.done].count("admit") == calls


def test_changed_configuration_of_a_running_service_is_reloaded(this, windows):
    windows.service, windows.current = SERVICE, ServiceState(RUNNING)
    install.install(replace(this, plan=InstallationPlan((), Action.RELOAD)), windows, windows)
    assert windows.done[-2:] == ["reload", RESTARTS]
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


def test_failed_start_without_a_log_names_its_place(this, windows):
    windows.coming = [ServiceState(STOPPED, 1)]
    with pytest.raises(NotRunningError, match="has written no log"):
        install.install(this, windows, windows)


def test_start_that_takes_too_long_is_an_error(this, windows, monkeypatch):
    monkeypatch.setattr(install, "START_SECONDS", 0.0)
    windows.coming = [ServiceState(START_PENDING)]
    with pytest.raises(NotRunningError, match=r"has not started within a minute(.|\n)*run the same command again"):
        install.install(this, windows, windows)


FAILURES = [
    *(("save", OSError("refused")), ("source", PermissionError("refused")), ("admit", FirewallError("refused"))),
    *(("restarts", OSError("refused")), ("start", OSError("logon failure")), ("start", NotRunningError("no"))),
]


@pytest.mark.parametrize(("step", "failure"), FAILURES)
def test_each_failure_of_a_first_installation_removes_what_it_has_created(this, windows, step, failure):
    windows.failing, windows.failure = step, failure
    with pytest.raises(type(failure)):
        install.install(this, windows, windows)
    assert windows.service is None
    assert windows.done[-2:] == [("admit", "ekm", 0), "no source ekm"]
    assert tree(this.base) == {}


@pytest.mark.parametrize(("step", "failure"), FAILURES)
def test_each_failure_of_a_change_restores_the_previous_service_and_configuration(changed, windows, step, failure):
    before = tree(changed.base)
    windows.failing, windows.failure = step, failure
    with pytest.raises(type(failure)):
        install.install(changed, windows, windows)
    assert windows.service == SERVICE
    assert tree(changed.base) == before
    assert [one for one in windows.done if one[0] == "admit"][-1:] in ([], [ADMIT])
    assert windows.done[-3:] == [WRITTEN, READ, "start"]
    windows.state("ekm")
    assert windows.current.state == RUNNING


def test_change_that_ends_at_once_is_undone(changed, windows):
    windows.coming = [ServiceState(STOPPED, 2), ServiceState(START_PENDING), ServiceState(RUNNING)]
    before = tree(changed.base)
    with pytest.raises(NotRunningError):
        install.install(changed, windows, windows)
    assert tree(changed.base) == before
    assert windows.done[-5:] == [ADMIT, ("save", SERVICE.command), WRITTEN, READ, "start"]


def test_failed_change_leaves_a_stopped_service_stopped(changed, windows):
    windows.current, windows.coming = ServiceState(STOPPED), [ServiceState(STOPPED, 2)]
    found = replace(changed.found, is_running=False)
    with pytest.raises(NotRunningError):
        install.install(replace(changed, found=found, plan=InstallationPlan((), Action.START)), windows, windows)
    assert windows.service == SERVICE
    assert windows.done.count("start") == 1


def test_bad_configuration_does_not_stop_a_running_service(changed, windows):
    with pytest.raises(BadConfigurationError):
        install.install(replace(changed, changes={"ekm.yml": b"targets: 1"}), windows, windows)
    assert "stop" not in windows.done
    assert (changed.base / "ekm.yml").read_text() == GOOD


def test_first_installation_whose_start_hangs_leaves_nothing_behind(this, windows, monkeypatch):
    monkeypatch.setattr(install, "START_SECONDS", 0.0)
    monkeypatch.setattr(install, "STOP_SECONDS", 0.0)
    windows.coming, windows.stops = [ServiceState(START_PENDING)], False
    with pytest.raises(NotRunningError):
        install.install(this, windows, windows)
    assert windows.service is None
    assert windows.done[-3:] == ["delete", ("admit", "ekm", 0), "no source ekm"]
    assert tree(this.base) == {}


def test_failed_start_is_not_followed_by_one_of_windows(this, windows):
    windows.coming = [ServiceState(STOPPED, 2)]
    with pytest.raises(NotRunningError):
        install.install(this, windows, windows)
    assert [step for step in windows.done if step == RESTARTS] == []


def test_failed_change_gives_the_previous_service_its_restarts_back(changed, windows):
    windows.coming = [ServiceState(STOPPED, 2), ServiceState(START_PENDING), ServiceState(RUNNING)]
    with pytest.raises(NotRunningError):
        install.install(changed, windows, windows)
    assert [step for step in windows.done if "restarts" in step] == ["restarts", RESTARTS]


def test_service_that_stops_late_is_started_again(changed, windows, monkeypatch):
    """Windows does not start a service that is stopping."""
    start = windows.start

    def stop_late(*_):
        windows.current, windows.coming = ServiceState(STOP_PENDING), [ServiceState(STOP_PENDING)] * 3
        windows.coming += [ServiceState(STOPPED), ServiceState(RUNNING)]
        raise StillThereError("ekm")

    monkeypatch.setattr(install, "stop", stop_late)
    monkeypatch.setattr(windows, "start", lambda name: start(name) if windows.current.state == STOPPED else None)
    with pytest.raises(StillThereError):
        install.install(changed, windows, windows)
    assert windows.done[-1] == "start"
    assert windows.current.state == RUNNING


def test_previous_configuration_that_cannot_be_kept_is_a_warning(changed, windows):
    (changed.base / "ekm.yml.old").mkdir()
    *_, warning = install.install(changed, windows, windows)
    assert warning == f"the previous configuration is not kept: {changed.base / 'ekm.yml.old'}: a directory, not a file"
    assert (changed.base / install.CONFIGURATION).read_bytes() == changed.changes["ekm.yml"]
    assert windows.current.state == RUNNING
