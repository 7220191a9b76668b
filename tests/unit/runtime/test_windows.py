"""Calls to the service manager, the event log, WinINet and the firewall of Windows, by stand-ins."""

import contextlib
import ctypes
import logging
import os
import subprocess
import threading
from types import SimpleNamespace

import pytest

from exporter.windows import accounts, api, event_log, service
from exporter.windows.event_log import NUMBERS, EventLogHandler
from exporter.windows.rules import ServiceDefinition, WindowsResponse
from exporter.windows.service import (
    DESCRIPTION,
    RESTART_SECONDS,
    RUNNING,
    START_PENDING,
    STOP_PENDING,
    STOPPED,
    FirewallError,
    ServiceControl,
    ServiceManager,
)

# Calls of the exporter to the service manager, the event log and WinINet of Windows, by stand-ins.


class Written(list):
    def write(self, kind, text):
        self.append((kind, text))


class Calls(list):
    failing = None


def made(monkeypatch, call):
    """Let `call` stand for each call to Windows."""
    for module in (event_log, service, api):
        monkeypatch.setattr(module, "call", call)


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

    made(monkeypatch, lambda name, *arguments: change(*arguments) if name == "ChangeServiceConfig2W" else 7)
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
    """Every call to Windows by name with its arguments, of which those in `failing` return 0."""
    found = Calls()
    made(monkeypatch, lambda name, *arguments: 0 if found.append((name, arguments)) or name == found.failing else 7)
    return found


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
    calls.failing = "HttpQueryInfoW"
    monkeypatch.setattr(api, "last_error", lambda: 12150)
    assert api.request_by_windows("127.0.0.1", 9, "/", 1.0) == WindowsResponse(None, 12150)
    assert [name for name, _ in calls].count("InternetCloseHandle") == 3


@pytest.mark.parametrize(("number", "expected"), [(259, contextlib.nullcontext()), (5, pytest.raises(api.WindowsCallError))])
def test_only_the_end_of_the_events_is_no_error(calls, monkeypatch, number, expected):
    calls.failing = "EvtNext"
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
    assert [kind for kind, _ in written] == ["log warning", "log error"]
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
    numbers = [number for number, _ in NUMBERS.values()]
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
        api.call("OpenSCManagerW", None, None, 1)


def test_error_of_a_call_names_action_and_number(calls, monkeypatch):
    monkeypatch.setattr(api, "last_error", lambda: 5)
    assert api.checked("x", "OpenServiceW") == 7
    calls.failing = "OpenServiceW"
    assert api.checked("x", "OpenServiceW", harmless=(5,)) == 0
    with pytest.raises(api.WindowsCallError, match=r"open the service: .*\(Windows error 5\)") as failure:
        api.checked("open the service", "OpenServiceW")
    assert failure.value.winerror == 5


# The states that the exporter reports to the service manager of Windows.


@pytest.fixture
def reported(monkeypatch):
    """State, accepted controls, exit codes and checkpoint of each report."""
    found = []

    def report(_name, _handle, pointer):
        status = pointer._obj
        found.append((status.state, status.accepted, status.exit_code, status.specific_exit_code, status.checkpoint))
        return 1

    made(monkeypatch, report)
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
    control = ServiceControl("ekm", on_stop=list, on_reload=list)
    calls = {
        "StartServiceCtrlDispatcherW": lambda _table: control._serve(0, None) or 1,
        "RegisterServiceCtrlHandlerExW": lambda *_: None,
    }
    made(monkeypatch, lambda name, *arguments: calls[name](*arguments))
    monkeypatch.setattr(service, "last_error", lambda: 87)
    assert control.connect() == 87


# Which files and folders get the rights of a folder; only Windows shows the rights themselves.


@pytest.fixture
def changed(monkeypatch):
    """Paths whose rights are changed."""
    found = []
    monkeypatch.setattr(accounts, "_apply", lambda path, *_: found.append(path))
    return found


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base" / "state" / "inner").mkdir(parents=True)
    (tmp_path / "base" / "state" / "inner" / "file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    return tmp_path / "base"


def test_all_in_a_folder_gets_its_rights_from_the_outside_in(folder, changed):
    accounts.set_folder_access(folder, "D:")
    assert changed == [folder, folder / "state", folder / "state" / "inner", folder / "state" / "inner" / "file"]


def test_folder_with_rights_of_its_own_is_left_alone(folder, changed):
    accounts.set_folder_access(folder, "D:", keep=(folder / "state",))
    assert changed == [folder]


@pytest.mark.parametrize("place", ["state", "state/link", "state/inner/link"])
@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_link_is_refused_before_anything_is_changed(folder, changed, place, make):
    link = folder / place
    if link.is_dir():
        link.rename(folder / "moved")
    if make is os.link:
        make(folder.parent / "elsewhere" / "file", link)
    else:
        make(folder.parent / "elsewhere", link, target_is_directory=True)
    with pytest.raises(OSError, match=f"{link} is a link"):
        accounts.set_folder_access(folder, "D:")
    assert changed == []


@pytest.mark.parametrize(("tag", "is_refused"), [(0xA0000003, True), (0xA000000C, True), (0x80000017, False)])
def test_junction_is_a_link_and_a_compressed_file_is_none(folder, changed, monkeypatch, tag, is_refused):
    """As Windows reports them: a junction is a folder with a tag."""
    real = type(folder).lstat

    def found(path):
        return SimpleNamespace(st_mode=real(path).st_mode, st_nlink=1, st_reparse_tag=tag if path == folder / "state" else 0)

    monkeypatch.setattr(type(folder), "lstat", found)
    if is_refused:
        with pytest.raises(OSError, match="state is a link"):
            accounts.set_folder_access(folder, "D:")
    else:
        accounts.set_folder_access(folder, "D:")
    assert bool(changed) is not is_refused


# The commands that change the firewall of Windows.


@pytest.fixture
def netsh(monkeypatch):
    """The calls of netsh, which all end with `code`."""
    found = SimpleNamespace(calls=[], code=0)

    def run(command, **_):
        found.calls.append(command[3:])
        return SimpleNamespace(returncode=found.code, stdout=b"refused")

    monkeypatch.setattr(subprocess, "run", run)
    return found


@pytest.mark.parametrize("name", ["ekm", "all"])
def test_rule_of_a_service_is_replaced_and_no_other(netsh, name):
    service.set_rule(name, 10377, ("10.1.2.3", "10.1.2.0/24"))
    removed, added = netsh.calls
    assert removed == ["delete", "rule", f"name=ekm-exporter: {name}"]
    assert added[:3] == ["add", "rule", f"name=ekm-exporter: {name}"]
    assert added[-2:] == ["localport=10377", "remoteip=10.1.2.3,10.1.2.0/24"]


def test_missing_rule_is_no_error_and_a_refused_one_is(netsh):
    netsh.code = 1
    service.set_rule("ekm", 0, ())
    with pytest.raises(FirewallError, match="refused"):
        service.set_rule("ekm", 1, ("10.1.2.3",))
