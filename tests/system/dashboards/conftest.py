"""A real Prometheus with both recorded histories."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.patience import PROGRAM_SECONDS
from tests.system.dashboards.queries import NO_PROXY, History
from tests.system.dashboards.recorded_history import everything
from tests.system.prometheus.servers import free_port

READY_WITHIN = 60  # seconds


@contextlib.contextmanager
def serving(place: Path) -> Iterator[History]:
    """Write the histories to `place`, and serve them from a Prometheus within the context."""
    (place / "history.txt").write_text(everything())
    with (place / "log").open("wb") as log:
        promtool = ["promtool", "tsdb", "create-blocks-from", "openmetrics", place / "history.txt", place / "data"]
        subprocess.run(promtool, check=True, stdout=log, stderr=log, timeout=PROGRAM_SECONDS)  # noqa: S603 - Prometheus' own tool
        (place / "prometheus.yml").write_text("scrape_configs: []\n")
        address = f"127.0.0.1:{free_port()}"
        command = ["prometheus", f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data"]
        command += ["--storage.tsdb.retention.time=100y", f"--web.listen-address={address}", "--log.level=warn"]
        server = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - the program under test
        try:
            wait_until_ready(f"http://{address}/-/ready", server, place / "log")
            yield History(f"http://{address}")
        finally:
            server.terminate()
            server.wait()


def wait_until_ready(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(READY_WITHIN * 10):
        with contextlib.suppress(OSError), NO_PROXY.open(url):
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(log.read_text())


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="session")
def history(recorded: Path) -> Iterator[History]:
    with serving(recorded) as found:
        yield found
