"""The states that the exporter reports to the service manager of Windows."""

import threading

import pytest

from exporter.windows import service
from exporter.windows.service import RUNNING, START_PENDING, STOP_PENDING, STOPPED, ServiceControl


@pytest.fixture
def reported(monkeypatch):
    """State, accepted controls, exit codes and checkpoint of each report."""
    found = []

    def report(_handle, pointer):
        status = pointer._obj
        found.append((status.state, status.accepted, status.exit_code, status.specific_exit_code, status.checkpoint))
        return 1

    monkeypatch.setattr(service, "function", lambda *_: report)
    return found


@pytest.fixture
def requests():
    return []


@pytest.fixture
def control(requests):
    made = ServiceControl("ekm", on_stop=lambda: requests.append("stop"), on_reload=lambda: requests.append("reload"))
    made._dispatcher = threading.Thread()  # one that has ended
    made._dispatcher.start()
    return made


def test_pending_start_counts_its_checkpoints_and_accepts_nothing(control, reported):
    control._report(START_PENDING)
    control._report(START_PENDING)
    control.report_running()
    assert [(state, accepted, checkpoint) for state, accepted, _, _, checkpoint in reported] == [
        (START_PENDING, 0, 1),
        (START_PENDING, 0, 2),
        (RUNNING, 0x10D, 0),
    ]


@pytest.mark.parametrize("number", [1, 5, 15])  # stop, shutdown, preshutdown
def test_each_kind_of_stop_stops_the_exporter(control, reported, requests, number):
    control.report_running()
    assert control._handle(number, 0, None, None) == 0
    assert requests == ["stop"]
    assert reported[-1][0] == STOP_PENDING


@pytest.mark.usefixtures("reported")
def test_changed_parameters_reload(control, requests):
    assert control._handle(6, 0, None, None) == 0
    assert requests == ["reload"]


@pytest.mark.usefixtures("reported")
def test_interrogation_is_answered_and_other_controls_are_not(control, requests):
    assert control._handle(4, 0, None, None) == 0
    assert control._handle(2, 0, None, None) == 120
    assert requests == []


def test_start_that_ends_late_does_not_take_a_stop_back(control, reported):
    control._handle(1, 0, None, None)
    control.report_running()
    assert [state for state, *_ in reported] == [STOP_PENDING]


def test_exit_code_is_that_of_the_service(control, reported):
    control.report_stopped(2)
    control.report_stopped(0)
    assert reported == [(STOPPED, 0, 1066, 2, 0)]


def test_end_without_an_error_has_no_exit_code(control, reported):
    control.report_stopped(0)
    assert reported == [(STOPPED, 0, 0, 0, 0)]


def test_handler_that_windows_refuses_ends_the_connection_with_its_error(monkeypatch):
    made = ServiceControl("ekm", on_stop=list, on_reload=list)
    calls = {
        "StartServiceCtrlDispatcherW": lambda _table: made._serve(0, None) or 1,
        "RegisterServiceCtrlHandlerExW": lambda *_: None,
    }
    monkeypatch.setattr(service, "function", lambda _library, name, *_: calls[name])
    monkeypatch.setattr(service, "last_error", lambda: 87)
    assert made.connect() == 87
