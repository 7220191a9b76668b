"""The command `ekm-exporter service`, on a system without services of Windows and on a stand-in for it."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest

from exporter import __version__
from exporter.cli import service_data, service_install, service_run
from exporter.cli.main import build_parser, main
from exporter.installation.data import RefusedError
from exporter.runtime.windows.api import WindowsCallError
from exporter.runtime.windows.event_log import EventKind


@pytest.mark.parametrize("words", [["install"], ["remove"], ["secret", "s"], ["run"]])
def test_services_exist_only_on_windows(words, capsys):
    assert main(["service", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def parsed(*words):
    return build_parser(["service"]).parse_args(["service", *words])


def test_folder_has_to_be_given_to_another_python(tmp_path):
    with pytest.raises(RefusedError, match="--base"):
        service_data.base_folder(None, sys.executable)
    assert service_data.base_folder(tmp_path, sys.executable) == tmp_path


def test_settings_of_the_installation_are_kept_and_given_ones_replace_them():
    settings = service_install._settings(parsed("install", "--prometheus", "10.1.2.3,10.1.2.4", "10.1.2.5"), None)
    assert settings.prometheus == ("10.1.2.3", "10.1.2.4", "10.1.2.5")
    assert settings.version == __version__
    assert service_install._settings(parsed("install", "--arguments", "", "--config.file", ""), settings) == settings


def test_address_follows_from_the_flags(tmp_path):
    args = parsed("install", "--arguments", "--shard 1/2")
    assert service_install._check_flags(tmp_path, service_install._settings(args, None)) == ":10378"


def test_bad_flags_of_run_are_refused(tmp_path, capsys):
    args = parsed("install", "--arguments", "--state.dir elsewhere")
    with pytest.raises(SystemExit):
        service_install._check_flags(tmp_path, service_install._settings(args, None))
    assert "--state.dir" in capsys.readouterr().err


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
    assert service_data.read_secret("s") == "gehëim "


@pytest.mark.parametrize(("name", "typed"), [("../s", b"x"), ("s", b"")])
def test_secret_without_a_plain_name_or_text_is_refused(tmp_path, monkeypatch, name, typed):
    monkeypatch.setattr(sys, "stdin", piped(typed))
    assert service_data.secret(parsed("secret", name, "--base", str(tmp_path))) == 2
    assert list(tmp_path.iterdir()) == []


def test_data_of_something_else_is_not_removed(tmp_path):
    (tmp_path / "state").mkdir()
    assert service_data.remove(parsed("remove", "--remove-data", "--base", str(tmp_path))) == 2
    assert (tmp_path / "state").exists()


def test_missing_rights_name_what_to_do(capsys):
    assert service_data.fail(WindowsCallError("open the service manager", 5)) == 1
    assert capsys.readouterr().err.endswith("(Windows error 5): run this as an administrator\n")


def test_account_without_the_right_to_log_on_names_what_to_do(capsys):
    assert service_data.fail(WindowsCallError("start the service", 1069)) == 1
    assert "Log on as a service" in capsys.readouterr().err


@pytest.mark.parametrize(("flags", "access"), [(["--dry-run"], 0x1), ([], 0x3)])
def test_dry_run_needs_no_right_to_change(tmp_path, monkeypatch, flags, access):
    requested = []

    def refuse(access):
        requested.append(access)
        raise WindowsCallError("open the service manager", 5)

    monkeypatch.setattr(service_install, "ServiceManager", refuse)
    assert service_install.install(parsed("install", "--base", str(tmp_path), *flags)) == 1
    assert requested == [access]


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
    assert kind is EventKind.START_FAILED
    assert log.strip() in text
    assert "did not start, exit code 2" in text


def test_service_without_a_log_reports_that(tmp_path):
    (tmp_path / "logs").touch()
    events = Written()
    args = SimpleNamespace(base=tmp_path, name="ekm", run_flags=[])
    assert service_run._run_logged(args, SimpleNamespace(), events) == 2
    assert "cannot write its log" in events[0][1]


def test_process_that_a_user_starts_is_refused(monkeypatch, capsys):
    control = SimpleNamespace(connect=lambda: 1063)
    monkeypatch.setattr(service_run, "ServiceControl", lambda *_, **__: control)
    assert service_run.run(parsed("run", "--base", "x")) == 2
    assert capsys.readouterr().err == "ekm-exporter: only the service manager starts this: net start ekm-exporter\n"


def test_service_manager_gets_the_exit_code_also_of_an_internal_error(monkeypatch, tmp_path):
    codes = []
    control = SimpleNamespace(connect=lambda: 0, report_stopped=codes.append)
    monkeypatch.setattr(service_run, "ServiceControl", lambda *_, **__: control)
    monkeypatch.setattr(service_run, "EventLog", lambda _name: Written())

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(service_run, "_run_logged", fail)
    with pytest.raises(RuntimeError):
        service_run.run(parsed("run", "--base", str(tmp_path)))
    monkeypatch.setattr(service_run, "_run_logged", lambda *_: 2)
    assert service_run.run(parsed("run", "--base", str(tmp_path))) == 2
    assert codes == [3, 2]
