"""The recipes of docs/patch-night.md restart SQL Server after the answer ready, and after nothing else."""

import re
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from exporter.cli.main import main
from tests.repo.deploy.test_guides import text
from tests.repo.powershell import parsed, texts
from tests.support.gate_factories import URIS, body, row
from tests.support.sql_inventory import reg_query, rows_of, sqlcmd
from tests.support.transcripts import blocks

ROOT = Path(__file__).parents[3]
SECTION = text("docs/patch-night.md").split("## In a maintenance script")[1].split("## ")[0]
PATIENCE = 60
NO_READINGS = b'{"at": "2026-11-26T20:00:00.000Z", "sql_servers": []}'


(SHELL,), (POWERSHELL,) = blocks(SECTION, "sh"), blocks(SECTION, "powershell")


class Host:
    """A folder with the programs of the recipe: `systemctl` records its call."""

    def __init__(self, path):
        self.path = path
        (path / "bin").mkdir()
        self.program("systemctl", f'echo "$@" >> {path}/restarts')

    def program(self, name, script):
        file = self.path / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def run(self, recipe=SHELL):
        """Exit code, output, and what was restarted."""
        environment = {"PATH": f"{self.path}/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(  # noqa: S603 - the recipe itself
            ["/bin/sh", "-c", recipe],
            cwd=self.path,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
        restarts = self.path / "restarts"
        return ended.returncode, ended.stdout + ended.stderr, restarts.read_text() if restarts.exists() else ""


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.mark.parametrize(
    "program",
    [
        None,  # missing
        "exit 0",
        "echo 'not ready: 1 reason'; exit 0",  # the exit code got lost in a wrapper
        "echo 'Getting ready: please wait'; exit 0",
        "echo 'ready: 1 instance, 1 key, 1 database'; exit 1",
        "echo 'ready: 1 instance, 1 key, 1 database'; kill -9 $$",
        "printf '\\377\\376r\\000e\\000a\\000d\\000y\\000'",
        "echo 'ready: 1 instance' >&2",
    ],
)
def test_shell_recipe_restarts_nothing_without_ready(host, program):
    if program is not None:
        host.program("ekm-exporter", program)
    code, output, restarts = host.run()
    assert (code, restarts) == (1, "")
    assert output.endswith("no restart.\n")


def test_shell_recipe_restarts_nothing_after_a_time_out(host):
    host.program("ekm-exporter", "echo 'ready: 1 instance, 1 key, 1 database'; exec sleep 600")
    assert "timeout 120 " in SHELL
    code, _, restarts = host.run(SHELL.replace("timeout 120 ", "timeout 0.5 "))
    assert (code, restarts) == (1, "")


def test_shell_recipe_restarts_nothing_if_the_answer_cannot_be_kept(host):
    host.program("ekm-exporter", "echo 'ready: 1 instance'")
    (host.path / "gate.txt").mkdir()
    code, _, restarts = host.run()
    assert (code, restarts) == (1, "")


@contextmanager
def exporter(answer):
    """An exporter without SQL Servers, whose targets have this body; None never answers. Yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if answer is None:
                self.rfile.read(1)  # until the client gives up
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(NO_READINGS if self.path.endswith("/sql-servers") else answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def install(host, url):
    """Make the real gate the program of the recipe, with an inventory of now."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rows = rows_of()
    rows["instance"][0]["read_at_utc"] = now
    rows["start"][0]["started_utc"] = now
    (host.path / "n1.txt").write_text(sqlcmd(rows))
    (host.path / "keys.txt").write_text(reg_query({URIS[0].thumbprint: URIS[0].uri}))
    read = [str(host.path / name) for name in ("n1.txt", "keys.txt")]
    assert main(["inventory", "--from", *read, "--out", str(host.path / "targets.d")]) == 0
    flags = f"--instance SQLPRD01 --url {url} --inventory targets.d --for 0s --timeout 1s"
    host.program("ekm-exporter", f"exec {sys.executable} -m exporter gate --vault-side {flags}")


def state(**changes):
    """What an exporter answers now."""
    now = datetime.now(UTC)
    times = {name: now.isoformat() for name in ("ready_since", "last_unwrap")}
    later = now.replace(year=now.year + 1, day=1).isoformat()
    return body(row(**times, credential_expires_at=later, **changes), at=now.isoformat())


def test_shell_recipe_restarts_after_ready(host):
    with exporter(state()) as url:
        install(host, url)
        code, output, restarts = host.run()
    assert (code, output, restarts) == (0, "", "restart mssql-server\n")


@pytest.mark.parametrize(
    "answer", [None, b"garbage", b'{"answer": "ready"}', state().decode().encode("utf-16"), state(vault_side_ready=False)],
    ids=["silent", "garbage", "other", "utf-16", "not_ready"],
)  # fmt: skip
def test_shell_recipe_restarts_nothing_after_the_real_gate(host, answer):
    with exporter(answer) as url:
        install(host, url)
        code, output, restarts = host.run()
    assert (code, restarts) == (1, "")
    assert output.startswith(("not known: 1 reason", "not ready: 1 reason"))


# The PowerShell recipe: its structure, as no PowerShell runs here. tests/system/windows/try-recipe.ps1 runs it on Windows.


TREE = parsed(re.sub(r"(--[\w.-]+)", r'"\1"', POWERSHELL))


def test_powershell_recipe_is_one_statement():
    """Pasted line by line into a console, an error in one statement would not stop the next one."""
    assert not TREE.has_error
    assert re.fullmatch(r"& \{\n(?: {4}.*\n)+\}\n", POWERSHELL)


def test_powershell_recipe_reads_the_answer_and_no_exit_code():
    assert "LASTEXITCODE" not in POWERSHELL
    assert re.search(r"\$gate = ekm-exporter gate .*--json \| Out-String \| ConvertFrom-Json\n", POWERSHELL)
    (condition,) = texts(TREE, "if_statement")
    assert condition.startswith("if (\"$($gate.answer)\" -cne 'ready') {")
    assert re.search(r"\n +throw '.*'\n +\}$", condition)


def test_windows_workflow_runs_the_powershell_recipe():
    workflow = (ROOT / ".github/workflows/build.yml").read_text()
    assert re.search(r"try-recipe\.ps1 -Page docs\\patch-night\.md\n", workflow)
    script = (ROOT / "tests/system/windows/try-recipe.ps1").read_text()
    for case in ("missing program", "time-out", "garbage", "last program"):
        assert case in script
