"""A simulator on this machine for the exporters of the host: Wine shares the network."""

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.process.conftest import write_configuration
from tests.support.patience import PATIENCE
from tests.system.windows.host import Host


def fetch(url: str, data: bytes | None = None, method: str | None = None) -> tuple[int, str]:
    """Status and text of a response. Raises OSError without one."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=PATIENCE) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def answered(url: str, good: Callable[[str], bool] = bool, *, within: float = PATIENCE) -> str:
    """The first successful response that is `good`; fails with the last one."""
    end, last = time.monotonic() + within, "no answer"
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            status, last = fetch(url)
            if status == 200 and good(last):
                return last
        time.sleep(0.05)
    raise AssertionError(f"{url}: {last[-3000:]}")


def until(condition: Callable[[], Any]) -> Any:
    """Wait until the condition holds, and return its value."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Simulated:
    """`folder` has ca.pem, and the configuration for programs of this machine."""

    folder: Path
    management: str

    def configure(self, host: Host, folder: Path) -> Path:
        """Write the configuration and its secrets as files of the host."""
        folder.mkdir(parents=True)
        text = (self.folder / "ekm.yml").read_text()
        text = text.replace("interval: 4s", "interval: 1m").replace(
            "timeout: 2s", "timeout: 30s"
        )  # Wine is slow on a busy machine
        for path in set(re.findall(rf"{re.escape(str(self.folder.parent))}[^\s'\"]*", text)):
            (folder / Path(path).name).write_bytes(Path(path).read_bytes())
            text = text.replace(path, host.windows_path(folder / Path(path).name).replace("\\", "/"))
        (folder / "ekm.yml").write_text(text)
        return folder / "ekm.yml"

    def break_(self, **fault: object) -> None:
        status, text = fetch(f"{self.management}/sim/fault", json.dumps(fault).encode())
        assert status == 200, text

    def repair(self) -> None:
        assert fetch(f"{self.management}/sim/fault", method="DELETE")[0] == 200


@contextlib.contextmanager
def simulating(folder: Path) -> Iterator[Simulated]:
    """Run a simulator of the configuration of `tests/integration/process`."""
    config, out = write_configuration(folder), folder / "simulated"
    command = [sys.executable, "-m", "exporter", "simulate", "--config.file", config, "--out", out]
    command += ["--sim.port", "0", "--sim.management-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - fixed arguments
        try:
            assert process.stdout is not None
            printed = iter(process.stdout.readline, "")
            yield Simulated(out, next(found[1] for line in printed if (found := re.search(r"management port: (\S+)", line))))
        finally:
            process.terminate()
