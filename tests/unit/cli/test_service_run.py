"""The command `ekm-exporter service run`, with stand-ins for the service manager and the event log."""

import logging
from types import SimpleNamespace

import pytest

from exporter.cli import service_run
from exporter.cli.main import build_parser
from exporter.windows.event_log import EventKind


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
    assert service_run.run(build_parser(["service"]).parse_args(["service", "run", "--base", "x"])) == 2
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
        service_run.run(build_parser(["service"]).parse_args(["service", "run", "--base", str(tmp_path)]))
    monkeypatch.setattr(service_run, "_run_logged", lambda *_: 2)
    assert service_run.run(build_parser(["service"]).parse_args(["service", "run", "--base", str(tmp_path)])) == 2
    assert codes == [3, 2]
