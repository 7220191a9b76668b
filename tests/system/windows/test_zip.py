"""The unpacked zip on a host without Python: what a user calls first."""

import re

from deploy.windows import make_zip
from exporter import __version__
from tests.system.windows import parts


def test_python_is_an_older_patch_of_the_pinned_one():
    """python.org's newest patch is not in the package index. The release workflow tries that one on Windows."""
    pinned = make_zip.read_pins()["python"].version
    assert pinned != parts.VERSION
    assert pinned.rpartition(".")[0] == parts.VERSION.rpartition(".")[0]


def test_command_file_starts_the_exporter(host):
    done = host.call("cmd", "/c", "app\\ekm-exporter.cmd", "--version")
    assert (done.code, done.out, done.err) == (0, f"ekm-exporter {__version__}\n", "")


def test_python_of_the_zip_is_the_one_that_runs(host):
    program = "import sys; print(sys.version.split()[0], sys.prefix)"
    done = host.call(host.python, "-X", "utf8", "-c", program)
    assert done.out == f"{parts.VERSION} {host.windows_path(host.python.parent)}\n"


def test_example_names_the_file_that_the_user_must_add(host):
    done = host.run("check", "--config.file", "ekm.example.yml")
    assert done.code == 2
    assert re.search(r"^ekm\.example\.yml:\d+:\d+: credentials\.\S+: no such file$", done.err, re.MULTILINE)


def test_probe_runs_every_step(host, config):
    done = host.run("probe", "fine", "--config.file", config.name, cwd=config.parent)
    assert (done.code, done.err) == (0, "")
    steps = re.findall(r"^(\w+) +ok +[\d.]+ ms$", done.out, re.MULTILINE)
    assert steps == ["challenge", "token", "get_key", "wrap_key", "unwrap_key"]
