"""Builds and runs the image with buildah and podman in a temporary storage, without a daemon.

The base image is made from Debian's Python and imported under the name in the Dockerfile. It replaces the official Python
image, which the tests cannot fetch. The digest and layout of the official image are untested; the summary of a run reports that.
"""

import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BASE_TAR = ROOT / ".cache" / "container" / "base-with-planted-pip.tar"
IMAGE = "localhost/ekm-exporter:test"
BASE = "localhost/" + re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
# Files of the official image that Debian does not have, and of Debian's package python3-pip. The Dockerfile must remove them.
PLANTED = [
    "/usr/local/bin/pip3",
    "/usr/local/lib/python3.13/ensurepip/__init__.py",
    "/usr/local/lib/python3.13/site-packages/pip/__init__.py",
    "/usr/bin/pip3",
    "/usr/lib/python3/dist-packages/pip/__init__.py",
]
DEBIAN = "python3,python3-venv,ca-certificates"
LOCKED_DOWN = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "none"]
ENVIRONMENT = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


def run(*command: str | Path, timeout: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=ENVIRONMENT)  # noqa: S603 - fixed commands
    if check and done.returncode != 0:
        pytest.fail(
            f"{' '.join(map(str, command))}\nexited {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}",
            pytrace=False,
        )
    return done


def _hard_limits() -> list[tuple[str, int]]:
    """Return the limits of this process: buildah's own defaults are higher, and a machine may not permit to raise them."""
    kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    return [(name, resource.getrlimit(kind)[1]) for name, kind in kinds.items()]


@dataclass
class Engine:
    """buildah and podman with one storage, and the names of started containers."""

    storage: list[str]
    started: list[str] = field(default_factory=list)

    def podman(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("podman", *self.storage, "--runtime", "runc", "--cgroup-manager=cgroupfs", *command, check=check)

    def build(self) -> None:
        limits = [f"--ulimit={name}={hard}:{hard}" for name, hard in _hard_limits()]
        certificates = ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
        how = ["--isolation", "chroot", "--format", "docker", "--pull=never", "--network", "host"]
        run("buildah", *self.storage, "build", *how, *limits, *certificates, "--tag", IMAGE, ROOT)

    def size(self, image: str) -> int:
        """The size of all layers of an image in bytes."""
        return int(self.podman("image", "inspect", "--format", "{{.Size}}", image).stdout)

    def start(self, *arguments: str, options: tuple[str, ...] = ()) -> str:
        name = f"ekm-{len(self.started)}"
        self.started.append(name)
        fixed = ["--name", name, "--ulimit", "host", "--log-driver", "k8s-file", *LOCKED_DOWN, *options]
        self.podman("run", "--detach", *fixed, IMAGE, *arguments)
        return name

    def get(self, name: str, path: str) -> subprocess.CompletedProcess[str]:
        """Send a request from inside the container, which has no network except loopback."""
        fetch = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:10377{path}', timeout=3).read().decode())"
        return self.podman("exec", name, "python", "-c", fetch, check=False)

    def eventually(self, name: str, path: str, good: Callable[[str], bool] = bool, *, seconds: float = 60) -> str:
        """The first response that is `good`. Fails with the log of the container after `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self.get(name, path)
            if answer.returncode == 0 and good(answer.stdout):
                return answer.stdout
            if "container state improper" in answer.stderr:
                break
            time.sleep(0.2)
        log = self.podman("logs", name, check=False)
        pytest.fail(
            f"{path} gave no good answer (it had {seconds} s): {answer.stdout[-1500:]}{answer.stderr[-500:]}\n{log.stdout}{log.stderr}"
        )


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    place = tmp_path_factory.mktemp("storage")
    engine = Engine(["--root", str(place / "root"), "--runroot", str(place / "run")])
    if not BASE_TAR.exists():
        BASE_TAR.parent.mkdir(parents=True, exist_ok=True)
        making = BASE_TAR.with_suffix(".making.tar")
        hooks = [f'--customize-hook=install -D -m 0755 /dev/null "$1"{path}' for path in PLANTED]
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={DEBIAN}", *hooks, "trixie", making)
        making.replace(BASE_TAR)
    engine.podman("import", str(BASE_TAR), BASE)
    engine.build()
    yield engine
    for name in engine.started:
        engine.podman("rm", "--force", "--time", "0", name, check=False)
    if os.getuid() == 0:
        shutil.rmtree(place)
    else:  # the files belong to the mapped user ids of the container
        run("buildah", "unshare", "rm", "-rf", place)
