"""Calls of the exporter to the service manager, the event log and WinINet of Windows, by stand-ins."""

import contextlib
import ctypes
import logging

import pytest

from exporter.windows import api, event_log, service
from exporter.windows.event_log import EventKind, EventLogHandler
from exporter.windows.rules import ServiceDefinition, WindowsResponse
from exporter.windows.service import DESCRIPTION, RESTART_SECONDS, ServiceManager


class Written(list):
    def write(self, kind, text):
        self.append((kind, text))


def record(level, message, **fields):
    found = logging.LogRecord("exporter.x", level, "x.py", 1, message, (), None)
    found.fields = fields
    return found


def test_service_restarts_after_each_failure():
    """Windows repeats the last action, and Wine keeps none of them."""
    structure, actions = service._recovery(RESTART_SECONDS)
    assert (structure.reset, structure.count) == (3600, len(RESTART_SECONDS))
    assert structure.actions == ctypes.addressof(actions)
    assert [(action.type, action.milliseconds) for action in actions][: structure.count] == [
        (1, 10_000),
        (1, 10_000),
        (1, 60_000),
    ]


def test_restarts_are_deleted_by_a_pointer_without_actions():
    """Without the pointer, Windows keeps what it has."""
    structure, _actions = service._recovery(())
    assert structure.count == 0
    assert structure.actions


def test_each_detail_is_set_and_refused_ones_are_reported(monkeypatch):
    values = {}

    def change(_handle, level, pointer):
        values[level] = pointer._obj
        return level < 4

    monkeypatch.setattr(service, "function", lambda _, name, *__: change if name == "ChangeServiceConfig2W" else lambda *___: 7)
    monkeypatch.setattr(service, "last_error", lambda: 124)
    with ServiceManager(service.READ) as services:
        warnings = services.save(ServiceDefinition(name="x", command="y", account="z"))
        assert set(values) == {1, 3, 5}  # a failed first start is not followed by another one
        assert [text.partition(":")[0] for text in warnings] == ["set the identity of the service"]
        (warning,) = services.set_restarts("x", RESTART_SECONDS)
        assert (values[2].count, values[4].number) == (3, 1)
        services.set_restarts("x", ())
    assert warning.startswith("set the restart after an error:")
    assert values[1].text == DESCRIPTION
    assert (values[3].number, values[4].number, values[5].number) == (1, 0, 1)
    assert values[2].count == 0


@pytest.fixture
def calls(monkeypatch):
    """Every call to Windows by name with its arguments; each one succeeds."""
    made = []

    def function(_library, name, *_types):
        return lambda *arguments: made.append((name, arguments)) or 7

    for module in (event_log, service, api):
        monkeypatch.setattr(module, "function", function)
    return made


@pytest.mark.parametrize(
    ("request_", "access"),
    [
        (lambda services: services.state("x"), 0x4),
        (lambda services: services.start("x"), 0x10),
        (lambda services: services.control("x", service.STOP), 0x20),
        (lambda services: services.control("x", service.RELOAD), 0x40),
        (lambda services: services.delete("x"), 0x10000),
        (lambda services: services.find("x"), 0x1),
        (lambda services: services.save(ServiceDefinition(name="x", command="y", account="z")), 0x12),
        (lambda services: services.set_restarts("x", ()), 0x12),
    ],
)
def test_each_request_has_only_the_rights_that_it_needs(calls, request_, access):
    with ServiceManager(service.READ) as services:
        request_(services)
    opened = {name: arguments for name, arguments in calls if name.startswith("Open")}
    assert opened == {"OpenSCManagerW": (None, None, 0x1), "OpenServiceW": (7, "x", access)}
    assert [name for name, _ in calls].count("CloseServiceHandle") == 2


def test_response_without_a_status_is_an_error(calls, monkeypatch):
    """A proxy or a filter can end the response before its status."""
    plain = api.function

    def function(library, name, *types):
        return (lambda *_: 0) if name == "HttpQueryInfoW" else plain(library, name, *types)

    monkeypatch.setattr(api, "function", function)
    monkeypatch.setattr(api, "last_error", lambda: 12150)
    assert api.request_by_windows("127.0.0.1", 9, "/", 1.0) == WindowsResponse(None, 12150)
    assert [name for name, _ in calls].count("InternetCloseHandle") == 3


@pytest.mark.parametrize(("number", "expected"), [(259, contextlib.nullcontext()), (5, pytest.raises(api.WindowsCallError))])
def test_only_the_end_of_the_events_is_no_error(calls, monkeypatch, number, expected):
    plain = api.function

    def function(library, name, *types):
        return (lambda *_: 0) if name == "EvtNext" else plain(library, name, *types)

    monkeypatch.setattr(event_log, "function", function)
    monkeypatch.setattr(api, "last_error", lambda: number)
    with expected:
        assert event_log.newest_events("Application", "*", 20) == ()
    assert calls[-1] == ("EvtClose", (7,))


def test_warnings_and_errors_of_the_log_become_entries():
    written = Written()
    logger = logging.getLogger("exporter.of_this_test")
    logger.setLevel(logging.INFO)
    handler = EventLogHandler(written)
    logger.addHandler(handler)
    logger.info("listening")
    logger.warning("probe failed", extra={"fields": {"target": "a"}})
    logger.error("configuration not reloaded")
    logger.removeHandler(handler)
    assert [kind for kind, _ in written] == [EventKind.LOG_WARNING, EventKind.LOG_ERROR]
    assert 'msg="probe failed" target=a' in written[0][1]


def test_entries_of_the_log_are_throttled_and_the_others_counted(monkeypatch):
    now, written = [0.0], Written()
    monkeypatch.setattr(event_log.time, "monotonic", lambda: now[0])
    handler = EventLogHandler(written)
    for _ in range(50):
        handler.handle(record(logging.WARNING, "probe failed"))
    assert len(written) == 20
    now[0] = 600.0
    handler.handle(record(logging.WARNING, "probe failed"))
    assert written[-1][1].endswith("\n30 earlier lines are only in the log file.")


def test_entries_of_libraries_are_left_out():
    written = Written()
    found = record(logging.ERROR, "x")
    found.name = "azure.identity"
    EventLogHandler(written).handle(found)
    assert written == []


def test_every_number_of_an_entry_has_a_text_in_windows():
    """EventCreate.exe has texts for 1 to 1000."""
    numbers = [kind.value[0] for kind in EventKind]
    assert len(set(numbers)) == len(numbers)
    assert all(1 <= number <= 1000 for number in numbers)


def test_source_of_entries_is_registered_where_windows_looks_for_it(monkeypatch):
    written, removed = {}, []
    monkeypatch.setattr(event_log, "write_key", written.__setitem__)
    monkeypatch.setattr(event_log, "delete_key", removed.append)
    event_log.register_source("ekm")
    event_log.remove_source("ekm")
    key = r"SYSTEM\CurrentControlSet\Services\EventLog\Application\ekm"
    values = {"EventMessageFile": r"%SystemRoot%\System32\EventCreate.exe", "TypesSupported": 7, "CustomSource": 1}
    assert (written, removed) == ({key: values}, [key])


def test_functions_of_windows_are_refused_elsewhere():
    with pytest.raises(OSError, match="only Windows"):
        api.function("advapi32", "OpenSCManagerW", None)


def test_error_of_a_call_names_action_and_number(monkeypatch):
    monkeypatch.setattr(api, "last_error", lambda: 5)
    assert api.checked("x", 7) == 7
    assert api.checked("x", 0, harmless=(5,)) == 0
    with pytest.raises(api.WindowsCallError, match=r"open the service: .*\(Windows error 5\)") as failure:
        api.checked("open the service", 0)
    assert failure.value.winerror == 5
