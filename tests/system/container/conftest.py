"""An image built and run without a container engine's service: buildah and podman, with a storage of their own.

The base is Debian's Python, made on the spot and imported under the name in the Dockerfile. It stands in for the
official Python image, which no test here can fetch: the digest and the layout of that image stay untested, and the summary
of every run names that.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BASE_TAR = ROOT / ".cache" / "container" / "base-with-pip.tar"
IMAGE = "localhost/ekm-exporter:test"
BASE = "localhost/" + re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
# Where the official image has them and Debian has not: the Dockerfile has to remove them from there.
PLANTED = ["bin/pip3", "lib/python3.13/ensurepip/__init__.py", "lib/python3.13/site-packages/pip/__init__.py"]
DEBIAN = "python3,python3-pip,python3-venv,ca-certificates"
LOCKED_DOWN = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "none"]
ENVIRONMENT = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


def run(*command: str | Path, timeout: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
    # The programs and every argument are this file's own.
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=ENVIRONMENT)  # noqa: S603 - fixed commands
    if check and done.returncode != 0:
        pytest.fail(
            f"{' '.join(map(str, command))}\nexited {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}",
            pytrace=False,
        )
    return done


@dataclass
class Engine:
    """buildah and podman on one storage; forgets every container that it started."""

    storage: list[str]
    started: list[str] = field(default_factory=list)

    def podman(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("podman", *self.storage, "--runtime", "runc", "--cgroup-manager=cgroupfs", *command, check=check)

    def build(self) -> None:
        limits = ["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=96365:96365"]
        certificates = ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
        how = ["--isolation", "chroot", "--format", "docker", "--pull=never", "--network", "host"]
        run("buildah", *self.storage, "build", *how, *limits, *certificates, "--tag", IMAGE, ROOT)

    def size(self, image: str) -> int:
        """Bytes of all its layers."""
        return int(self.podman("image", "inspect", "--format", "{{.Size}}", image).stdout)

    def start(self, *arguments: str, options: tuple[str, ...] = ()) -> str:
        name = f"ekm-{len(self.started)}"
        self.started.append(name)
        fixed = ["--name", name, "--ulimit", "host", "--log-driver", "k8s-file", *LOCKED_DOWN, *options]
        self.podman("run", "--detach", *fixed, IMAGE, *arguments)
        return name

    def get(self, name: str, path: str) -> subprocess.CompletedProcess[str]:
        """One request from inside: the container has no network but its own loopback."""
        fetch = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:10377{path}', timeout=3).read().decode())"
        return self.podman("exec", name, "python", "-c", fetch, check=False)

    def eventually(self, name: str, path: str, good: Callable[[str], bool] = bool, *, seconds: float = 60) -> str:
        """The first good answer; fails with the container's log where there is none in time."""
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
        hooks = [f'--customize-hook=install -D -m 0755 /dev/null "$1"/usr/local/{path}' for path in PLANTED]
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={DEBIAN}", *hooks, "trixie", making)
        making.replace(BASE_TAR)
    engine.podman("import", str(BASE_TAR), BASE)
    engine.build()
    yield engine
    for name in engine.started:
        engine.podman("rm", "--force", "--time", "0", name, check=False)
    if os.getuid() == 0:
        shutil.rmtree(place)
    else:  # its files belong to the numbers that stand for the container's users
        run("buildah", "unshare", "rm", "-rf", place)
