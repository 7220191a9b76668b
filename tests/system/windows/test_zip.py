"""The unpacked zip on a host without Python, as a user calls it."""

from deploy.windows import make_zip
from exporter import __version__
from tests.system.windows import parts


def test_python_is_an_older_patch_of_the_pinned_one():
    """python.org's newest patch is not in the package index. The release workflow tries that one on Windows."""
    pinned = make_zip.read_pins()["python"].version
    assert pinned != parts.VERSION
    assert parts.VERSION.rpartition(".")[0] == pinned.rpartition(".")[0]


def test_command_file_starts_the_exporter(host):
    done = host.call("cmd", "/c", "app\\ekm-exporter.cmd", "--version")
    assert (done.code, done.out) == (0, f"ekm-exporter {__version__}\n")


def test_version_is_that_of_the_wheel(host):
    done = host.run("--version")
    assert (done.code, done.out, done.err) == (0, f"ekm-exporter {__version__}\n", "")


def test_python_of_the_zip_is_the_one_that_runs(host):
    done = host.call(host.python, "-X", "utf8", "-c", "import sys; print(sys.version.split()[0], sys.prefix)")
    assert done.out == f"{parts.VERSION} {host.windows_path(host.python.parent)}\n"
