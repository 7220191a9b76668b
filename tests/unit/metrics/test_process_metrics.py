"""On Windows the process has prometheus_client's series, with the values of Windows."""

import pytest

from exporter.metrics import own
from exporter.windows.api import Resources
from tests.support.metric_factories import a_recorder, names_in, scrape, series

USED = Resources(cpu_seconds=1.5, started=1000.0, resident_bytes=4096, private_bytes=8192, handles=7)


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(own, "is_windows", lambda: True)
    monkeypatch.setattr(own, "resources", lambda: USED)


@pytest.mark.usefixtures("windows")
def test_values_are_those_of_windows():
    found = {name: value for (name, *_), value in series(scrape(a_recorder())).items() if name.startswith("process_")}
    assert found == {
        "process_cpu_seconds_total": 1.5,
        "process_start_time_seconds": 1000.0,
        "process_resident_memory_bytes": 4096,
        "process_virtual_memory_bytes": 8192,
        "process_open_fds": 7,
        "process_max_fds": 16 * 1024 * 1024,
    }


def test_names_and_types_are_those_of_linux(monkeypatch):
    """What PromQL reads on one system, it reads on the other."""
    linux = scrape(a_recorder())
    monkeypatch.setattr(own, "is_windows", lambda: True)
    monkeypatch.setattr(own, "resources", lambda: USED)
    windows = scrape(a_recorder())
    assert types(windows) == types(linux)
    assert {name for name in names_in(windows) if name.startswith("process_")} == {
        name for name in names_in(linux) if name.startswith("process_")
    }


def types(text: bytes) -> set[bytes]:
    return {line for line in text.splitlines() if line.startswith(b"# TYPE process_")}


def test_scrape_has_no_process_series_if_windows_refuses(monkeypatch):
    def refused():
        raise OSError(5, "denied")

    monkeypatch.setattr(own, "is_windows", lambda: True)
    monkeypatch.setattr(own, "resources", refused)
    names = names_in(scrape(a_recorder()))
    assert not {name for name in names if name.startswith("process_")}
    assert "python_info" in names
