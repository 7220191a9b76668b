"""The exporter of the zip as a process: pages, reload, restart, the end, and a second one."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter import __version__
from tests.support.patience import PATIENCE, PROGRAM_SECONDS
from tests.system.windows.host import Host, Running
from tests.system.windows.simulated import answered, fetch

MEGABYTE = 1024 * 1024


@dataclass
class Exporter:
    """A running exporter, and its URL."""

    program: Running
    url: str

    def get(self, path: str) -> str:
        status, text = fetch(self.url + path)
        assert status == 200, f"{path}: {status} {text}"
        return text

    def samples(self, name: str, **labels: str) -> list[float]:
        families = text_string_to_metric_families(self.get("/metrics"))
        samples = (sample for family in families for sample in family.samples)
        return [one.value for one in samples if one.name == name and labels.items() <= one.labels.items()]


@contextlib.contextmanager
def exporting(host: Host, config: Path, *flags: str, address: str = "127.0.0.1:0") -> Iterator[Exporter]:
    """Run the exporter until it has probed every target."""
    command = ("run", "--config.file", config.name, "--web.listen-address", address, "--state.dir", "state", *flags)
    with host.running(*command, cwd=config.parent) as program:
        exporter = Exporter(program, program.output(r"url=(http://\S+)")[1])
        answered(f"{exporter.url}/-/ready")
        yield exporter


@pytest.fixture(scope="module")
def module_config(host, simulator) -> Path:
    return simulator.configure(host, host.prefix / "drive_c" / "Prüfung" / "run")


@pytest.fixture(scope="module")
def exporter(host, module_config) -> Iterator[Exporter]:
    """One exporter for the tests that leave it as it is."""
    with exporting(host, module_config, "--config.enable-auto-reload") as running:
        yield running


def test_scrape_has_the_results_of_the_probes(exporter):
    assert exporter.samples("ekm_probe_success", target="fine") == [1.0]
    assert exporter.samples("ekm_exporter_build_info", version=__version__) == [1.0]


def test_scrape_has_the_resources_of_the_process(exporter):
    """The memory is that of this process, and no handle is counted, which Wine cannot."""
    (resident,) = exporter.samples("process_resident_memory_bytes")
    assert 40 * MEGABYTE < resident < 1000 * MEGABYTE
    assert exporter.samples("process_cpu_seconds_total") > [0.1]
    (started,) = exporter.samples("process_start_time_seconds")
    assert 0 < time.time() - started < 2 * PROGRAM_SECONDS
    assert exporter.samples("process_open_fds") == [0.0]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "fine"),
        ("/targets/broken", "SQL02"),
        ("/docs/", "/docs/"),
        ("/static/style.css", "{"),
        ("/-/healthy", "Healthy"),
        ("/api/v1/targets", '"target": "typed"'),
    ],
)
def test_page_is_served(exporter, path, words):
    assert words in exporter.get(path)


@pytest.mark.usefixtures("exporter")
def test_second_exporter_of_a_state_directory_is_refused(host, module_config):
    command = ("run", "--config.file", module_config.name, "--web.listen-address", "127.0.0.1:0", "--state.dir", "state")
    done = host.run(*command, cwd=module_config.parent)
    assert done.code == 2
    assert "state: another exporter uses this state directory" in done.err


def test_changed_file_is_applied(exporter, module_config):
    before = module_config.read_text()
    module_config.write_text(before.replace("name: typed", "name: renamed"))
    answered(f"{exporter.url}/api/v1/targets", lambda text: '"target": "renamed"' in text)
    module_config.write_text(before.replace("vault: vault-fine", "volt: vault-fine"))
    exporter.program.output(r"level=error .*volt")
    assert exporter.samples("ekm_exporter_config_last_reload_successful") == [0.0]
    module_config.write_text(before)
    answered(f"{exporter.url}/metrics", lambda text: "ekm_exporter_config_last_reload_successful 1" in text)


def kept(config: Path) -> str:
    """Wait until the state of the target is in a file, and return all files."""
    end, text = time.monotonic() + PATIENCE, ""
    while '"name":"typed"' not in text:
        assert time.monotonic() < end, text
        time.sleep(0.05)
        text = "".join(path.read_text() for path in config.parent.glob("state/*.json"))
    return text


def test_killed_exporter_keeps_its_state_and_ctrl_c_ends_the_next_one(host, config, simulator):
    with exporting(host, config) as first:
        success = first.samples("ekm_last_success_timestamp_seconds", target="typed")
        assert kept(config)
        first.program.kill()
    simulator.break_(vault="vault-typed", scenario="unwrap_forbidden")
    try:
        with exporting(host, config) as second:
            assert second.samples("ekm_probe_success", target="typed") == [0.0]
            assert success == second.samples("ekm_last_success_timestamp_seconds", target="typed") > [0.0]
            ended = second.program.interrupt()
    finally:
        simulator.repair()
    assert ended.code == 0
    assert "msg=stopping" in ended.text
    assert "Traceback" not in ended.text


def test_demo_starts_and_ctrl_c_removes_its_files(host):
    files = "drive_c/users/*/AppData/Local/Temp/ekm-demo-*"
    with host.running("demo", "--web.listen-address", "127.0.0.1:0") as program:
        url = program.output(r"url=(http://\S+)")[1]
        answered(f"{url}/metrics", lambda text: 'code="3303"' in text)
        assert len(list(host.prefix.glob(files))) == 1
        ended = program.interrupt()
    assert (ended.code, "THIS IS A DEMO" in ended.out, "Traceback" in ended.text) == (0, True, False)
    assert list(host.prefix.glob(files)) == []
