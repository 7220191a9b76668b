"""Installing and removing, on a stand-in for Windows."""

from pathlib import Path, PureWindowsPath

import pytest

from exporter.windows import accounts, install
from exporter.windows.install import (
    BadConfigurationError,
    Installation,
    NotRunningError,
    RefusedError,
    StillThereError,
)
from exporter.windows.rules import (
    ADMINISTRATORS_ONLY,
    Existing,
    InstallationPlan,
    ServiceDefinition,
    ServiceSettings,
    ServiceState,
    dump_settings,
    service_command,
)
from exporter.windows.service import RUNNING, START_PENDING, STOP_PENDING, STOPPED, FirewallError
from tests.support.values import replace

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
        plan=InstallationPlan((), "start"),
    )


READ, WRITTEN = ("protect", "", "", "secrets"), ("protect", "", "state", "logs")
ADMIT = ("admit", "ekm", 10377, "10.1.2.3")
RESTARTS = ("restarts", 10, 10, 60)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_installation_protects_before_it_writes_and_registers_before_it_starts(this, windows):
    assert install.install(this, windows) == ("a warning", "no restarts")
    assert windows.done == [READ, (*WRITTEN, "app"), ("save", SERVICE.command), "source", ADMIT, "restarts", "start", RESTARTS]
    assert windows.files_at_protection == []
    assert (this.base / "secrets" / "s").read_bytes() == SECRET
    assert install.read_settings(this.base) == SETTINGS


def test_configuration_with_problems_changes_nothing(this, windows):
    this.base.mkdir()
    (this.base / "ekm.yml").write_text("old")
    with pytest.raises(BadConfigurationError) as caught:
        install.install(replace(this, changes={"ekm.yml": b"targets: 1", "secrets/s": SECRET}), windows)
    assert caught.value.loaded.problems
    assert windows.done == [READ]
    assert [path.name for path in this.base.rglob("*") if path.is_file()] == ["ekm.yml"]
    assert (this.base / "ekm.yml").read_text() == "old"


def test_installation_without_a_configuration_starts_nothing(this, windows):
    install.install(replace(this, changes={}, plan=InstallationPlan((), "nothing")), windows)
    assert "start" not in windows.done
    assert windows.done[-1] == RESTARTS
    assert windows.service == SERVICE


@pytest.fixture
def changed(this, windows):
    """Return a change of an installation that runs, with nothing done yet."""
    install.install(this, windows)
    windows.done.clear()
    windows.coming = [ServiceState(START_PENDING), ServiceState(RUNNING)]
    return replace(
        this,
        settings=replace(SETTINGS, listen=":1", address=":1", account="D\\m$"),
        service=replace(SERVICE, command="other"),
        found=Existing(service=SERVICE, settings=SETTINGS, is_running=True),
        changes={"ekm.yml": GOOD.replace("name: t", "name: u").encode()},
        plan=InstallationPlan((), "restart"),
    )


def test_restart_waits_for_the_end_of_the_process_before_it_protects_what_the_service_writes(changed, windows):
    install.install(changed, windows)
    assert [step if isinstance(step, str) else step[0] for step in windows.done] == [
        *("protect", "stop", "protect", "save", "source", "admit", "restarts", "start", "restarts")
    ]
    assert windows.current.state == RUNNING
    assert (changed.base / "ekm.yml.old").read_text() == GOOD


@pytest.mark.parametrize(("changes", "folders"), [((), ()), (("program",), ("app",))])
def test_folders_of_a_service_that_stays_running_are_left_alone(this, windows, changes, folders):
    found = Existing(service=SERVICE, settings=SETTINGS, is_running=True)
    install.install(replace(this, found=found, plan=InstallationPlan(changes, "nothing")), windows)
    assert windows.done[:2] == [READ, ("protect", "", *folders)]


@pytest.mark.parametrize(("changes", "addresses", "calls"), [((), (), 0), ((), ("10.1.2.3",), 1), (("firewall",), (), 1)])
def test_firewall_is_called_only_for_a_rule_that_is_wanted_or_changed(this, windows, changes, addresses, calls):
    settings = replace(SETTINGS, prometheus=addresses)
    install.install(replace(this, settings=settings, plan=InstallationPlan(changes, "nothing")), windows)
    assert [step[0] for step in windows.done].count("admit") == calls


def test_changed_configuration_of_a_running_service_is_reloaded(this, windows):
    windows.service, windows.current = SERVICE, ServiceState(RUNNING)
    install.install(replace(this, plan=InstallationPlan((), "reload")), windows)
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
        install.install(this, windows)


FAILURES = [
    *(("save", OSError("refused")), ("source", PermissionError("refused")), ("admit", FirewallError("refused"))),
    *(("restarts", OSError("refused")), ("start", OSError("logon failure")), ("start", NotRunningError("no"))),
]


@pytest.mark.parametrize(("step", "failure"), FAILURES)
def test_each_failure_of_a_first_installation_removes_what_it_has_created(this, windows, step, failure):
    windows.failing, windows.failure = step, failure
    with pytest.raises(type(failure)):
        install.install(this, windows)
    assert windows.service is None
    assert windows.done[-2:] == [("admit", "ekm", 0), "no source ekm"]
    assert tree(this.base) == {}


@pytest.mark.parametrize(("step", "failure"), FAILURES)
def test_each_failure_of_a_change_restores_the_previous_service_and_configuration(changed, windows, step, failure):
    before = tree(changed.base)
    windows.failing, windows.failure = step, failure
    with pytest.raises(type(failure)):
        install.install(changed, windows)
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
        install.install(changed, windows)
    assert tree(changed.base) == before
    assert windows.done[-5:] == [ADMIT, ("save", SERVICE.command), WRITTEN, READ, "start"]
    assert [step for step in windows.done if "restarts" in step] == ["restarts", RESTARTS]


def test_failed_change_leaves_a_stopped_service_stopped(changed, windows):
    windows.current, windows.coming = ServiceState(STOPPED), [ServiceState(STOPPED, 2)]
    found = replace(changed.found, is_running=False)
    with pytest.raises(NotRunningError):
        install.install(replace(changed, found=found, plan=InstallationPlan((), "start")), windows)
    assert windows.service == SERVICE
    assert windows.done.count("start") == 1


def test_bad_configuration_does_not_stop_a_running_service(changed, windows):
    with pytest.raises(BadConfigurationError):
        install.install(replace(changed, changes={"ekm.yml": b"targets: 1"}), windows)
    assert "stop" not in windows.done
    assert (changed.base / "ekm.yml").read_text() == GOOD


def test_first_installation_whose_start_hangs_leaves_nothing_behind(this, windows, monkeypatch):
    monkeypatch.setattr(install, "START_SECONDS", 0.0)
    monkeypatch.setattr(install, "STOP_SECONDS", 0.0)
    windows.coming, windows.stops = [ServiceState(START_PENDING)], False
    with pytest.raises(NotRunningError, match=r"has not started within a minute(.|\n)*run the same command again"):
        install.install(this, windows)
    assert windows.service is None
    assert windows.done[-3:] == ["delete", ("admit", "ekm", 0), "no source ekm"]
    assert tree(this.base) == {}


def test_failed_start_without_a_log_names_its_place_and_is_not_followed_by_one_of_windows(this, windows):
    windows.coming = [ServiceState(STOPPED, 2)]
    with pytest.raises(NotRunningError, match="has written no log"):
        install.install(this, windows)
    assert [step for step in windows.done if step == RESTARTS] == []


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
        install.install(changed, windows)
    assert windows.done[-1] == "start"
    assert windows.current.state == RUNNING


def test_previous_configuration_that_cannot_be_kept_is_a_warning(changed, windows):
    (changed.base / "ekm.yml.old").mkdir()
    *_, warning = install.install(changed, windows)
    assert warning == f"the previous configuration is not kept: {changed.base / 'ekm.yml.old'}: a directory, not a file"
    assert (changed.base / install.CONFIGURATION).read_bytes() == changed.changes["ekm.yml"]
    assert windows.current.state == RUNNING


# Settings, secrets and removal.


def test_damaged_settings_are_refused_with_what_to_do(tmp_path):
    (tmp_path / install.SETTINGS).write_text("{")
    with pytest.raises(RefusedError, match="delete this file"):
        install.read_settings(tmp_path)
    assert install.read_settings(tmp_path / "new") is None


def test_removal_stops_and_deletes_and_keeps_the_data(tmp_path, windows):
    windows.service, windows.current = SERVICE, ServiceState(RUNNING)
    (tmp_path / "ekm.yml").touch()
    install.remove(tmp_path, "ekm", windows, data=False)
    assert windows.done == ["stop", "delete", ("admit", "ekm", 0), "no source ekm"]
    assert (tmp_path / "ekm.yml").exists()


def test_removal_can_run_twice_and_delete_the_data(tmp_path, windows):
    base = tmp_path / "base"
    base.mkdir()
    (base / "ekm.yml").touch()
    for _ in range(2):
        install.remove(base, "ekm", windows, data=True)
    assert "stop" not in windows.done
    assert not base.exists()


def test_service_that_does_not_stop_is_not_deleted(tmp_path, windows, monkeypatch):
    monkeypatch.setattr(install, "STOP_SECONDS", 0.0)
    windows.service, windows.current, windows.stops = SERVICE, ServiceState(RUNNING), False
    with pytest.raises(StillThereError, match="task manager"):
        install.remove(tmp_path, "ekm", windows, data=True)
    assert "delete" not in windows.done


def test_service_that_a_program_shows_is_named_after_the_firewall_is_closed(tmp_path, windows, monkeypatch):
    monkeypatch.setattr(install, "DELETE_SECONDS", 0.0)
    windows.service = SERVICE
    monkeypatch.setattr(windows, "delete", lambda _name: None)
    (tmp_path / "ekm.yml").touch()
    with pytest.raises(StillThereError, match=r"services\.msc"):
        install.remove(tmp_path, "ekm", windows, data=True)
    assert windows.done == [("admit", "ekm", 0), "no source ekm"]
    assert not tmp_path.exists()


def test_secret_is_written_into_a_protected_folder(tmp_path, windows):
    (tmp_path / "secrets").mkdir()  # by a user, before the first installation
    path = install.write_secret(tmp_path, "s", "gehëim")
    assert path.read_bytes() == "gehëim".encode()
    assert windows.done == [("protect secrets", ADMINISTRATORS_ONLY)]
    (tmp_path / install.SETTINGS).touch()
    install.write_secret(tmp_path, "s", "other")
    assert windows.done == [("protect secrets", ADMINISTRATORS_ONLY)]
    assert [one.name for one in path.parent.iterdir()] == ["s"]


# The files: what differs, the change, its way back, and their end.


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "base"
    for name, text in {"ekm.yml": "old", "targets.d/a.yml": "a", "targets.d/b.yml": "b", "secrets/s": "s"}.items():
        put(folder / name, text)
    return folder


@pytest.fixture
def source(tmp_path):
    put(tmp_path / "given" / "mine.yml", "new")
    return tmp_path / "given" / "mine.yml"


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_configuration_of_the_installation_itself_changes_nothing(base):
    assert install.changed_files(base, None) == {}
    assert install.changed_files(base, base / "ekm.yml") == {}


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({"mine.yml": "old", "secrets/s": "s"}, {}),
        ({}, {"ekm.yml": b"new"}),  # the targets of the installation stay
        (
            {"targets.d/b.yml": "b", "targets.d/c.yml": "c", "targets.d/note.txt": "x"},
            {"ekm.yml": b"new", "targets.d/a.yml": None, "targets.d/c.yml": b"c"},
        ),
        (dict.fromkeys(("secrets/.git", "secrets/a b", "secrets/t"), "t"), {"ekm.yml": b"new", "secrets/t": b"t"}),
    ],
    ids=["equal", "alone", "targets", "secrets"],
)
def test_files_next_to_the_configuration_replace_those_of_the_installation(base, source, given, changes):
    for name, text in given.items():
        put(source.parent / name, text)
    assert install.changed_files(base, source) == changes


def test_previous_configuration_is_kept_whole_and_secrets_are_not(base):
    put(base / "targets.d.old" / "z.yml", "z")
    previous = {"ekm.yml": b"old", "targets.d/a.yml": b"a", "targets.d/c.yml": None, "secrets/s": b"s", "service.json": b"{}"}
    install.write_files(base, {"ekm.yml": b"new", "targets.d/a.yml": None, "targets.d/c.yml": b"c"})
    install.keep_previous(base, previous)
    old = {name: text for name, text in tree(base).items() if ".old" in name}
    assert old == {"ekm.yml.old": "old", "targets.d.old/a.yml": "a", "targets.d.old/b.yml": "b"}


def test_unchanged_configuration_keeps_its_previous_one(base):
    put(base / "ekm.yml.old", "older")
    install.keep_previous(base, {"service.json": b"{}"})
    assert tree(base)["ekm.yml.old"] == "older"


def test_data_is_removed_and_the_program_stays(base):
    for name in ("app/p", "ekm.yml.old", "targets.d.old/a.yml", "state/s", "logs/l", "service.json"):
        put(base / name, "x")
    install.remove_data(base)
    assert tree(base) == {"app/p": "x"}
    (base / "app" / "p").unlink()
    (base / "app").rmdir()
    for _ in range(2):
        install.remove_data(base)
        assert not base.exists()


def test_file_in_use_is_replaced_a_little_later(base, monkeypatch):
    monkeypatch.setattr(install, "_PAUSE", 0.0)
    replace, refusals = Path.replace, [PermissionError(), PermissionError()]

    def busy(self, target):
        if refusals:
            raise refusals.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    install.replace_file(base / "ekm.yml", b"new")
    assert tree(base)["ekm.yml"] == "new"


def test_file_that_stays_in_use_is_an_error_and_leaves_no_other(base, monkeypatch):
    monkeypatch.setattr(install, "_PAUSE", 0.0)

    def busy(*_):
        raise PermissionError

    monkeypatch.setattr(Path, "replace", busy)
    before = tree(base)
    with pytest.raises(PermissionError):
        install.replace_file(base / "ekm.yml", b"new")
    assert tree(base) == before


def test_folder_behind_a_link_is_not_removed_with_the_data(base, tmp_path):
    put(tmp_path / "elsewhere" / "file", "x")
    (base / "state").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    install.remove_data(base)
    assert not base.exists()
    assert tree(tmp_path / "elsewhere") == {"file": "x"}


# Whether folder, program and service belong together.


def command(base, name="ekm"):
    return service_command("p", replace(SETTINGS, name=name), PureWindowsPath(base))


def test_settings_of_another_service_refuse_the_folder(tmp_path):
    with pytest.raises(RefusedError, match="folder of the service other"):
        install.check_place(tmp_path, "ekm", ServiceSettings(name="other"), None)
    install.check_place(tmp_path, "EKM", SETTINGS, None)


@pytest.mark.parametrize(
    "foreign", [command("C:/elsewhere"), r"C:\SQL\Binn\sqlservr.exe -sMSSQLSERVER", "", command("x", "other")]
)
def test_service_that_runs_something_else_is_refused(tmp_path, foreign):
    with pytest.raises(RefusedError, match="is not that of"):
        install.check_place(tmp_path, "ekm", None, replace(SERVICE, command=foreign))


@pytest.mark.parametrize("present", [["other.exe"], ["logs"], ["app"], ["web.yml"]])
def test_folder_with_files_of_other_programs_is_refused(tmp_path, present):
    for name in present:
        (tmp_path / name).mkdir()
    for folder, earlier in ((tmp_path, None), (Path("/"), SETTINGS)):
        with pytest.raises(RefusedError, match="other programs"):
            install.check_place(folder, "ekm", earlier, None)


@pytest.mark.parametrize(
    ("others", "text"),
    [
        (["web.yml"], "web.yml, which is not of an installation: move it away, install, then put it back"),
        (["ca.pem", "web.yml"], "ca.pem, web.yml, which are not of an installation: move them away, install, then put them back"),
        ([*"abcdefg"], "a, b, c, d, e and 2 more, which are not"),
    ],
)
@pytest.mark.parametrize("prepared", ["ekm.yml", "Secrets"])
def test_other_files_of_a_prepared_folder_are_named_with_what_to_do(tmp_path, prepared, others, text):
    for name in (prepared, *others):
        (tmp_path / name).touch()
    with pytest.raises(RefusedError, match=f"{tmp_path} has {text}"):
        install.check_place(tmp_path, "ekm", None, None)


@pytest.mark.parametrize(
    "present",
    [["app/lib/exporter", "readme.txt"], ["ekm.yml", "targets.d"], ["secrets", "state", "logs"], ["EKM.YML", "Targets.d"], []],
)
def test_own_or_empty_folder_is_accepted(tmp_path, present):
    for name in present:
        (tmp_path / name).mkdir(parents=True)
    install.check_place(tmp_path, "ekm", None, replace(SERVICE, command=command(tmp_path)))
    install.check_place(tmp_path / "new", "ekm", None, None)


class Services:
    """A service manager with one service, or none."""

    def __init__(self, service=None):
        self.service = service

    def find(self, name):
        return self.service if self.service is not None and self.service.name == name else None


def test_program_of_another_installation_is_accepted_once_that_is_registered(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    python, registered = str(other / "app" / "python" / "python.exe"), replace(SERVICE, command=command(other))
    for services in (Services(), Services(registered)):  # the folder has no settings yet
        with pytest.raises(RefusedError, match="other users"):
            install.check_program(python, tmp_path / "shard", services)
    (other / install.SETTINGS).write_text(dump_settings(SETTINGS))
    install.check_program(python, tmp_path / "shard", Services(registered))
    for services in (Services(), Services(replace(registered, command="sqlservr.exe"))):
        with pytest.raises(RefusedError, match="other users"):
            install.check_program(python, tmp_path / "shard", services)


@pytest.mark.parametrize(
    "python", [r"D:\venv\Scripts\python.exe", r"D:\ekm\app\python\python.exe", r"D:\ekm\app\python\other.exe"]
)
def test_only_the_program_of_the_installation_is_accepted(tmp_path, python):
    install.check_program(str(PureWindowsPath(tmp_path) / "App" / "python" / "python.exe"), tmp_path, Services())
    with pytest.raises(RefusedError, match="unpack the zip"):
        install.check_program(python, tmp_path, Services())


# Which folders get rights; only Windows shows the rights themselves.


@pytest.fixture
def protected(monkeypatch):
    """The folders whose rights are protected, with the rights."""
    found = {}
    monkeypatch.setattr(accounts, "set_folder_access", lambda folder, rights, keep=(): found.update({folder: (rights, keep)}))
    return found


def test_only_the_given_folders_that_exist_get_rights_and_others_keep_theirs(tmp_path, protected):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "state").mkdir()
    install.protect(tmp_path, ServiceSettings(name="ekm"), ("", "secrets", "logs"))
    assert list(protected) == [tmp_path, tmp_path / "secrets"]
    assert protected[tmp_path][1] == tuple(tmp_path / name for name in ("secrets", "state", "logs", "app"))


@pytest.mark.parametrize(("account", "sid"), [("", ";;;S-1-5-80-"), (r"D\m$", ";;;S-1-5-21-7)")])
def test_rights_are_those_of_the_account_of_the_service(tmp_path, monkeypatch, protected, account, sid):
    monkeypatch.setattr(accounts, "account_sid", lambda _account: "S-1-5-21-7")
    install.protect(tmp_path, ServiceSettings(name="ekm", account=account), ("",))
    assert sid in protected[tmp_path][0]
