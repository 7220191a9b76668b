"""The command `service`, on a system without services of Windows and on a stand-in for one."""

import contextlib
import errno
import io
import logging
import sys
from pathlib import PureWindowsPath
from types import SimpleNamespace

import pytest

from exporter import __version__
from exporter.cli import service_install, service_run
from exporter.cli.main import Refusal, build_parser, main
from exporter.windows import install as install_module
from exporter.windows.api import WindowsCallError
from exporter.windows.install import RefusedError
from exporter.windows.rules import ServiceDefinition, ServiceSettings, ServiceState, dump_settings, service_command
from exporter.windows.service import RUNNING

# The command `ekm-exporter service`, on a system without services of Windows and on a stand-in for it.


@pytest.mark.parametrize("words", [["install"], ["remove"], ["secret", "s"], ["run"]])
def test_services_exist_only_on_windows(words, capsys):
    assert main(["service", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "module"),
    [(["install"], service_install), (["remove"], service_install), (["secret", "s"], service_install), (["run"], service_run)],
)
def test_each_verb_has_its_function_on_windows(words, module, monkeypatch):
    monkeypatch.setattr("exporter.cli.service.is_windows", lambda: True)
    monkeypatch.setattr(module, words[0], lambda _args: 7)
    assert main(["service", *words]) == 7


@pytest.fixture
def on_windows(monkeypatch):
    """Returns the exit code of `ekm-exporter service` there."""
    monkeypatch.setattr("exporter.cli.service.is_windows", lambda: True)
    return lambda *words: main(["service", *words])


def parsed(*words):
    return build_parser(["service"]).parse_args(["service", *words])


def test_folder_has_to_be_given_to_another_python(tmp_path):
    with pytest.raises(RefusedError, match="--base"):
        service_install.base_folder(None, sys.executable)
    assert service_install.base_folder(tmp_path, sys.executable) == tmp_path


def test_folder_and_program_have_their_full_names(tmp_path, monkeypatch):
    """Windows has several names for a folder: short ones, links, and drives of `subst`."""
    program = tmp_path / "real" / "app" / "python" / "python.exe"
    program.parent.mkdir(parents=True)
    program.touch()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    linked = tmp_path / "link" / "app" / "python" / "python.exe"
    monkeypatch.setattr(sys, "executable", str(linked))
    base = service_install.base_folder(tmp_path / "link", service_install.this_program())
    assert base == tmp_path / "real"
    (base / "app" / "lib" / "exporter").mkdir(parents=True)
    services = SimpleNamespace(find=lambda _name: None, state=lambda _name: None)
    this = service_install._prepare(parsed("install"), base, services)
    assert this.service.command.startswith(f'"{program}" ')


def test_settings_of_the_installation_are_kept_and_given_ones_replace_them():
    settings = service_install._settings(parsed("install", "--prometheus", "10.1.2.3,10.1.2.4", "10.1.2.5"), None)
    assert settings.prometheus == ("10.1.2.3", "10.1.2.4", "10.1.2.5")
    assert settings.version == __version__
    assert service_install._settings(parsed("install", "--arguments", "", "--config.file", ""), settings) == settings


def test_output_of_an_installation_goes_to_its_log_file(on_windows, tmp_path, monkeypatch, capsys):
    def install(_args):
        sys.stdout.write("changed: Übung\n")
        raise Refusal("a problem")

    monkeypatch.setattr(service_install, "_install", install)
    log = tmp_path / "install.log"
    assert on_windows("install", "--log.file", str(log)) == 2
    assert log.read_text(encoding="utf-8") == "changed: Übung\nekm-exporter service: a problem\n"
    assert capsys.readouterr() == ("", "")


def test_log_file_names_an_internal_error(tmp_path, monkeypatch):
    log = tmp_path / "install.log"
    monkeypatch.setattr(service_install, "ServiceManager", lambda _access: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        service_install.install(parsed("install", "--base", str(tmp_path), "--log.file", str(log)))
    assert "internal error: ZeroDivisionError" in log.read_text()


def test_log_file_that_cannot_be_written_is_refused(on_windows, tmp_path, capsys):
    assert on_windows("install", "--log.file", str(tmp_path)) == 2
    assert f"cannot write {tmp_path}" in capsys.readouterr().err


def test_address_follows_from_the_flags(tmp_path):
    args = parsed("install", "--arguments", "--shard 1/2")
    assert service_install._check_flags(tmp_path, service_install._settings(args, None)) == ":10378"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [("--state.dir elsewhere", "--state.dir"), ("--help", "prints something"), ("--web.listen-address x", "'x'")],
)
def test_bad_flags_of_run_are_refused_in_one_line(tmp_path, capsys, arguments, problem):
    args = parsed("install", f"--arguments={arguments}")
    with pytest.raises(RefusedError, match=problem):
        service_install._check_flags(tmp_path, service_install._settings(args, None))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "place"), [("ekm-exporter", ""), ("ekm-1", ' --name ekm-1 --base "')])
def test_next_step_without_a_configuration_is_of_this_service(tmp_path, name, place):
    this = SimpleNamespace(base=tmp_path, settings=ServiceSettings(name=name))
    step = service_install._state(this, SimpleNamespace()).splitlines()[0]
    assert step.endswith(f'service install{place}{tmp_path}"' if place else "service install")


def test_web_configuration_with_problems_is_refused(tmp_path):
    (tmp_path / "web.yml").write_text("nonsense: 1\n")
    args = parsed("install", "--arguments", "--web.config.file web.yml")
    with pytest.raises(RefusedError, match="web configuration"):
        service_install._check_flags(tmp_path, service_install._settings(args, None))


def piped(data):
    """Return a standard input that is no terminal, in the code page of a Windows of the West."""
    return io.TextIOWrapper(io.BytesIO(data), encoding="cp1252")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_secret_of_a_pipe_is_its_first_line(monkeypatch, encoding):
    monkeypatch.setattr(sys, "stdin", piped("gehëim \r\nx".encode(encoding)))
    assert service_install.read_secret("s") == "gehëim "


@pytest.mark.parametrize(("name", "typed"), [("../s", b"x"), ("s", b""), ("s", b"  \n")])
def test_secret_without_a_plain_name_or_text_is_refused(on_windows, tmp_path, monkeypatch, name, typed):
    monkeypatch.setattr(sys, "stdin", piped(typed))
    assert on_windows("secret", name, "--base", str(tmp_path)) == 2
    assert list(tmp_path.iterdir()) == []


def test_blank_at_an_end_of_a_secret_is_written_with_a_warning(on_windows, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(install_module.accounts, "set_folder_access", lambda *_: None)
    monkeypatch.setattr(sys, "stdin", piped(b"x \n"))
    assert on_windows("secret", "s", "--base", str(tmp_path / "a" / "..")) == 0
    assert (tmp_path / "secrets" / "s").read_bytes() == b"x "
    assert "ends with a blank" in capsys.readouterr().err


def test_damaged_settings_prevent_only_the_removal_of_data(on_windows, tmp_path, monkeypatch):
    services = Services(monkeypatch, service_command("p", ServiceSettings(name="ekm"), PureWindowsPath(tmp_path)))
    (tmp_path / "service.json").write_text('{"name": "ekm", "prometheus": "10.1.2.3"}')
    assert on_windows("remove", "--name", "ekm", "--base", str(tmp_path), "--remove-data") == 2
    assert services.removed == []
    assert on_windows("remove", "--name", "ekm", "--base", str(tmp_path)) == 0
    assert services.removed == ["ekm"]


def test_data_of_something_else_is_not_removed(on_windows, tmp_path):
    (tmp_path / "state").mkdir()
    assert on_windows("remove", "--remove-data", "--base", str(tmp_path)) == 2
    assert (tmp_path / "state").exists()


class Services(contextlib.AbstractContextManager):
    """A service manager with at most one service; `removed` has what is deleted."""

    def __init__(self, monkeypatch, command=None):
        self.command, self.removed = command, []
        monkeypatch.setattr(service_install, "ServiceManager", lambda _access: self)
        monkeypatch.setattr(service_install.windows_install, "remove", lambda _base, name, *_, **__: self.removed.append(name))

    def __exit__(self, *_):
        pass

    def find(self, name):
        return self.command and ServiceDefinition(name=name, command=self.command, account="a")


def test_service_of_something_else_is_not_removed(on_windows, tmp_path, monkeypatch, capsys):
    services = Services(monkeypatch, r'"C:\SQL\Binn\sqlservr.exe" -sMSSQLSERVER')
    for flags in ((), ("--dry-run",)):
        assert on_windows("remove", "--name", "MSSQLSERVER", "--base", str(tmp_path), *flags) == 2
        assert "is not that of" in capsys.readouterr().err
    assert services.removed == []


@pytest.mark.parametrize("name", ["all", "ALL", "a b"])
def test_name_that_is_no_service_is_not_removed(on_windows, monkeypatch, name):
    services = Services(monkeypatch)
    assert on_windows("remove", "--name", name) == 2
    assert services.removed == []


def test_name_that_was_never_installed_keeps_its_rule_and_event_source(on_windows, tmp_path, monkeypatch, capsys):
    services = Services(monkeypatch)
    assert on_windows("remove", "--name", "OpenSSH-Server-In-TCP", "--base", str(tmp_path)) == 0
    assert "nothing is removed" in capsys.readouterr().out
    assert services.removed == []


def test_service_that_is_deleted_already_still_loses_its_rule_and_event_source(on_windows, tmp_path, monkeypatch):
    """Windows Installer deletes the service itself."""
    services = Services(monkeypatch)
    (tmp_path / "service.json").write_text(dump_settings(ServiceSettings(name="ekm")))
    for name in ("ekm", "EKM"):  # Windows ignores the case
        assert on_windows("remove", "--name", name, "--base", str(tmp_path)) == 0
    assert services.removed == ["ekm", "ekm"]


@pytest.mark.parametrize(
    ("listen", "arguments", "lines"),
    [
        *((":1", "--web.enable-pages", ["page on this host: http://localhost:1/"]), ("10.1.2.3:1", "", [])),
        *((":1", "--web.config.file web.yml", []), (":1", "--web.route-prefix=/x", [])),
    ],
)
def test_running_service_names_its_page_on_this_host(tmp_path, listen, arguments, lines):
    (tmp_path / "ekm.yml").touch()
    settings = ServiceSettings(name="ekm", address=listen, arguments=arguments)
    services = SimpleNamespace(state=lambda _name: ServiceState(RUNNING))
    assert service_install._state(SimpleNamespace(base=tmp_path, settings=settings), services).splitlines()[1:] == lines


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            WindowsCallError("open the service manager", 5),
            "open the service manager: error (Windows error 5): run this as an administrator",
        ),
        (
            WindowsCallError("start the service", 1069),
            "start the service: error (Windows error 1069): give the account the right",
        ),
        (FileExistsError(errno.EEXIST, "File exists", "C:/secrets"), "C:/secrets: file exists"),
    ],
)
def test_what_windows_refuses_names_the_place_or_what_to_do(error, text):
    with pytest.raises(Refusal) as caught, service_install.refusing():
        raise error
    assert (caught.value.code, str(caught.value)[: len(text)]) == (1, text)


def test_folder_is_no_configuration(tmp_path):
    args = parsed("install", "--config.file", str(tmp_path))
    with pytest.raises(RefusedError, match="a directory, not a file"):
        service_install._prepare(args, tmp_path / "base", SimpleNamespace())


@pytest.mark.parametrize(("flags", "access"), [(["--dry-run"], 0x1), ([], 0x3)])
def test_dry_run_needs_no_right_to_change(on_windows, tmp_path, monkeypatch, flags, access):
    requested = []

    def refuse(access):
        requested.append(access)
        raise WindowsCallError("open the service manager", 5)

    monkeypatch.setattr(service_install, "ServiceManager", refuse)
    assert on_windows("install", "--base", str(tmp_path), *flags) == 1
    assert requested == [access]


# The command `ekm-exporter service run`, with stand-ins for the service manager and the event log.


class Written(list):
    def write(self, kind, text):
        self.append((kind, text))


@pytest.fixture
def logger():
    """Other tests must not inherit handlers."""
    loggers = [logging.getLogger(), logging.getLogger("exporter")]
    before = [(one, one.handlers[:], one.level) for one in loggers]
    yield
    for one, handlers, level in before:
        one.handlers[:] = handlers
        one.setLevel(level)


@pytest.mark.usefixtures("logger")
@pytest.mark.parametrize("flags", [[], ["--web.listen-address", "nonsense"]])
def test_service_that_cannot_start_writes_the_reason_to_log_and_event_log(tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ekm.yml").write_text("targets: 1\n")
    events = Written()
    args = SimpleNamespace(base=tmp_path, name="ekm", run_flags=flags)
    assert service_run._run_logged(args, SimpleNamespace(), events) == 2
    log = (tmp_path / "logs" / "ekm-exporter.log").read_text()
    assert ("nonsense" if flags else "ekm.yml:1:") in log
    ((kind, text),) = events
    assert kind == "start failed"
    assert log.strip() in text
    assert "did not start, exit code 2" in text


def test_service_without_a_log_reports_that(tmp_path):
    (tmp_path / "logs").touch()
    events = Written()
    args = SimpleNamespace(base=tmp_path, name="ekm", run_flags=[])
    assert service_run._run_logged(args, SimpleNamespace(), events) == 2
    assert "cannot write its log" in events[0][1]


def test_process_that_a_user_starts_is_refused(on_windows, monkeypatch, capsys):
    control = SimpleNamespace(connect=lambda: 1063)
    monkeypatch.setattr(service_run, "ServiceControl", lambda *_, **__: control)
    assert on_windows("run", "--base", "x") == 2
    assert capsys.readouterr().err == "ekm-exporter service: only the service manager starts this: net start ekm-exporter\n"


def test_service_manager_gets_the_exit_code_also_of_an_internal_error(monkeypatch, tmp_path):
    codes = []
    control = SimpleNamespace(connect=lambda: 0, report_stopped=codes.append)
    monkeypatch.setattr(service_run, "ServiceControl", lambda *_, **__: control)
    monkeypatch.setattr(service_run, "EventLog", lambda _name: Written())

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(service_run, "_run_logged", fail)
    with pytest.raises(RuntimeError):
        service_run.run(build_parser(["service"]).parse_args(["service", "run", "--base", str(tmp_path)]))
    monkeypatch.setattr(service_run, "_run_logged", lambda *_: 2)
    assert service_run.run(build_parser(["service"]).parse_args(["service", "run", "--base", str(tmp_path)])) == 2
    assert codes == [3, 2]
