"""What each command imports: most of the time of a short command is that of its imports."""

import subprocess
import sys

import pytest

# Runs a command and writes the names of the modules that it imported.
COMMAND = """
import sys
before = {*sys.modules}
from exporter.__main__ import main
from exporter.runtime import process
process.leave = sys.exit
try:
    main()
except SystemExit:
    with open("modules", "w") as file:
        print(*{*sys.modules} - before, file=file)
"""
CONFIGURATION = """
credentials:
  sql: {type: client_secret, client_id: 8d3c1a52-2b1f-4e0d-9c57-0f6f3c0a1b2e, client_secret_file: secret}
targets:
  - {name: a, vault: contoso.vault.azure.net, key: key0, credential: sql}
"""
OWN = {"aiohttp", "azure", "bcrypt", "cryptography", "evtx", "msgspec", "prometheus_client", "pytds", "yaml"}
CERTIFICATES = {"bcrypt", "cryptography"}  # cryptography imports bcrypt
PROBES = {"aiohttp", "azure", "msgspec", "yaml", *CERTIFICATES}
# A command, and which libraries of the exporter it imports. A command with no such library imports none at all.
LIBRARIES = {
    "--version": set(),
    "--help": set(),
    "unknown-command": set(),
    "explain 3303": set(),
    "explain AADSTS7000222": {"msgspec"},
    "explain no-such-text": {"msgspec"},
    "explain": set(),
    "docs": set(),
    "docs doctor": set(),
    "script": set(),
    "script prove.sql": set(),
    "events --help": {"msgspec"},
    "check --config.file ekm.yml": {"msgspec", "yaml"},
    "check --config.file ekm.yml --print-effective --cost": {"msgspec", "yaml"},
    "check --config.file ekm.yml --web.config.file web.yml": {"msgspec", "yaml", *CERTIFICATES},
    "gate --help": {"aiohttp", "msgspec", "yaml"},
    "report --help": {"aiohttp", "msgspec", "yaml"},
    "audit --help": {"aiohttp", "msgspec", "yaml"},
    "inventory --help": {"aiohttp", "msgspec", "yaml"},
    "probe --help": PROBES,
    "doctor --help": PROBES,
    "simulate --help": {"aiohttp", "msgspec", "yaml", *CERTIFICATES},
    "run --help": {"prometheus_client", *PROBES},
}
# A command, and which packages of exporter/ it imports.
PACKAGES = {
    "--version": {"cli", "runtime"},
    "--help": {"cli", "runtime"},
    "explain 3303": {"cli", "core", "explain", "knowledge", "runtime"},
    "script": {
        "cli",
        "core",
        "presentation",
        "runtime",
        "sqlserver",
        "web",
    },  # web has the archive of the documents, and no code here
    "docs": {"cli", "core", "presentation", "runtime", "web"},
    "check --config.file ekm.yml": {"cli", "config", "core", "knowledge", "runtime"},
    "run --help": {
        "app",
        "cli",
        "clients",
        "config",
        "core",
        "doctor",
        "knowledge",
        "metrics",
        "presentation",
        "probing",
        "runtime",
        "state",
        "web",
        "windows",  # memory of the process
    },
}
# What `run` imports after its first probe, or if a flag or a section of the configuration needs it.
LATER = (
    "exporter.web.app",
    "exporter.web.api",
    "exporter.web.pages",
    "exporter.web.config_file",
    "exporter.web.access_control",
    "exporter.doctor.run",
    "exporter.knowledge.tickets",
)
# Modules of the standard library, and of the exporter, that take long.
SLOW = {"asyncio", "logging", "ssl", "exporter.core.values", "exporter.knowledge.reasons", "exporter.core.secrets"}


@pytest.fixture
def imported(tmp_path):
    def run(command):
        (tmp_path / "ekm.yml").write_text(CONFIGURATION, encoding="utf-8")
        (tmp_path / "web.yml").write_text("rate_limit: {interval: 1s, burst: 5}\n", encoding="utf-8")
        (tmp_path / "secret").write_text("not-a-secret-of-anyone", encoding="utf-8")
        words = [sys.executable, "-c", COMMAND, *command.split()]
        subprocess.run(words, cwd=tmp_path, capture_output=True, check=True)  # noqa: S603 - a fixed script
        return {*(tmp_path / "modules").read_text(encoding="utf-8").split()}

    return run


@pytest.mark.parametrize("command", LIBRARIES)
def test_command_imports_only_its_libraries(command, imported):
    names = {name.partition(".")[0] for name in imported(command)}
    libraries = {name for name in names if not name.startswith("_")} - sys.stdlib_module_names - {"exporter"}
    assert (libraries & OWN if LIBRARIES[command] else libraries) == LIBRARIES[command]


@pytest.mark.parametrize("command", PACKAGES)
def test_command_imports_only_its_packages(command, imported):
    packages = {name.split(".")[1] for name in imported(command) if name.startswith("exporter.")}
    assert packages - {"__main__"} == PACKAGES[command]


def test_run_imports_no_page_before_its_first_probe(imported):
    assert [name for name in imported("run --help") if name.startswith(LATER)] == []


@pytest.mark.parametrize("command", ["--version", "--help", "explain 3303", "explain", "script"])
def test_short_command_imports_nothing_slow(command, imported):
    assert imported(command) & SLOW == set()
