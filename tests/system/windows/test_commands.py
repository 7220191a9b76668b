"""The commands next to `run` on Windows: they print and write what they do on Linux."""

import asyncio
import json
import os
import pty
import re
import subprocess
import zipfile

from exporter.knowledge.codes import CODES
from exporter.sqlserver.script import script_bytes
from tests.support.evtx_writer import CONNECTOR, event, log
from tests.support.patience import PATIENCE
from tests.support.simulated_sql import DEFAULT, FIRST, SECOND, sql_servers
from tests.support.sql_inventory import rows_of, sqlcmd
from tests.support.written import write_private
from tests.system.windows.both import both

__all__ = ["both"]
PASSWORD = "hunter22-" * 3
SECRET = "00000000000000000000000000000001" + "marked-secret"
VAULT = f"""
credentials:
  c: {{type: connector_secret, secret_file: Geheimnis}}
targets:
  - {{name: größe, vault: contoso-prod, key: K/{"0" * 32}, credential: c, instances: [{{sql_instance: n1, host: n1}}]}}
""".replace("größe", "sales")


async def test_inventory_over_tds_writes_the_same_bytes(both):
    async with sql_servers(both.folder, password=PASSWORD) as servers:
        (both.folder / "ca.pem").write_bytes(servers.ca_pem)
        write_private(both.folder / "Kennwort", PASSWORD)
        (both.folder / "ekm.yml").write_text("include: [targets.d/*.yml]\n")
        (both.folder / "Größen.txt").write_text(sqlcmd(rows_of("N9", databases={"Löhne für März": "0x2C56"})), "utf-16")
        (both.folder / "servers.txt").write_text("\n".join(f"localhost,{servers.ports[one]}" for one in (FIRST, SECOND, DEFAULT)))
        (both.folder / "hosts.txt").write_text(
            "n1\nn2\nn3\nn9\n"
        )  # asked as localhost: their names count since the operator wrote them
        read = ["inventory", "--servers", "servers.txt", "--sql.ca.file", "ca.pem", "--from", "Größen.txt", "--sql.timeout", 120]
        signed_in = [*read, "--sql.user", "ekm", "--sql.password.file", "Kennwort"]
        hosts = ("--out", "targets.d", "--per-host", "Hosts für alle", "--hosts", "hosts.txt", "--config.file", "ekm.yml")
        first = await both.same_soon(*signed_in, *hosts, writes=("targets.d", "Hosts für alle"))
        assert "4 instances read, 0 failures" in first.out
        assert "Hosts für alle\\n1\\targets.d\\contoso-sales.yml" in first.out
        assert "no file changed" in (await asyncio.to_thread(both.there, *signed_in, *hosts)).out
        refused = await asyncio.to_thread(both.there, *read, "--out", "other")
        assert refused.code == 1
        assert refused.err.count("not read: Windows does not sign this account in (SEC_E_") == 3, refused.err


def test_saved_event_log_is_read(both):
    failures = [event(CONNECTOR, 4096, "Sicherung für März failed. Error 3303"), event("MSSQL$ONE", 33111, "0xAB")]
    (both.folder / "Anwendung März.evtx").write_bytes(log(failures))
    assert "Anwendung März.evtx: 2 records read" in both.same("events", "Anwendung *.evtx", "--all").out


def test_report_without_names_of_time_zones_has_an_action(both):
    done = both.there("report", "--month", "2026-10", "--prometheus", "http://127.0.0.1:1", "--timezone", "Europe/Zurich")
    assert done.code == 2
    assert (
        "this Python knows UTC alone: write --from and --to as in 2026-11-01T00:00:00+01:00, or add the package tzdata"
        in done.err
    )


def test_script_has_the_bytes_of_its_file_and_codes_are_json(both, host):
    with host.start("cmd", "/c", "app\\ekm-exporter.cmd", "script", "prove.sql") as program:
        assert program.finished().code == 0
        assert program.out.read_bytes() == script_bytes("prove.sql")
    assert len(json.loads(both.there("explain", "--format", "json").out)) == len(CODES)


def test_reader_that_ends_early_is_no_error(host, tmp_path):
    with (tmp_path / "err").open("wb") as errors:
        command = ["/usr/bin/wine", host.python, "-m", "exporter", "explain"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=host.environment)  # noqa: S603 - no outside input commands
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    assert "internal error" not in (tmp_path / "err").read_text()


CONSOLE = """
import ctypes, json, subprocess, sys
for page in (850, 1252, 65001):
    assert ctypes.windll.kernel32.SetConsoleOutputCP(page)
    done = subprocess.run([sys.executable, "-m", "exporter", "script", "größe-Ж"], capture_output=True)
    print(json.dumps([done.returncode, done.stderr.split(b"'")[1].decode("latin-1")]))
"""


def test_pipe_gets_the_code_page_of_the_console(host, tmp_path):
    (tmp_path / "console.py").write_text(CONSOLE, encoding="utf-8")
    (console, terminal), out = pty.openpty(), tmp_path / "out"
    try:
        with out.open("wb") as written:
            command = ["/usr/bin/wine", host.python, tmp_path / "console.py"]
            environment = {**host.environment, "TERM": "xterm"}
            streams = {"stdin": terminal, "stdout": written, "stderr": subprocess.DEVNULL}
            code = subprocess.run(command, **streams, env=environment, timeout=PATIENCE, start_new_session=True, check=False)  # noqa: S603 - no outside input commands
    finally:
        os.close(console)
        os.close(terminal)
    assert code.returncode == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert found == [[2, "gr\x94\xe1e-\\u0416"], [2, "gr\xf6\xdfe-\\u0416"], [2, "größe-Ж".encode().decode("latin-1")]]


def test_simulator_serves_this_machine_and_a_bundle(both, host):
    write_private(both.folder / "Geheimnis", SECRET)
    (both.folder / "ekm.yml").write_text(VAULT)
    ports = ("--sim.port", "0", "--sim.management-port", "0")
    with host.running("simulate", "--config.file", "ekm.yml", "--out", "Probe", *ports, "--sql", cwd=both.folder) as simulator:
        banner = simulator.output(r"(?s)irm -Method DELETE http://\S+/sim/fault.*stop: +Ctrl-C")[0]
        assert "curl" not in banner
        config = both.folder / "Probe" / "ekm.yml"
        text = re.sub(r"Z:(\S.*)", lambda found: found[1].replace("\\", "/"), config.read_text(encoding="utf-8"))
        (both.folder / "here.yml").write_text(text, encoding="utf-8")
        probe = both.here("probe", "sales", "--config.file", "here.yml")
        assert (probe.code, probe.out.count(" ok ")) == (0, 5), probe.text
        bundle = ("probe", "sales", "--config.file", config.relative_to(both.folder), "--bundle", "Fall 1 für März.zip")
        assert both.there(*bundle).out == "Fall 1 für März.zip: every step succeeded. Read the file before you send it.\n"
        port = re.search(r"vaults and Entra ID on [\d.]+:(\d+)", simulator.text)
        assert port is not None
        second = both.there("simulate", "--config.file", "ekm.yml", "--out", "other", "--sim.port", port[1])
        assert (second.code, second.out) == (2, "")
        assert second.err.startswith("ekm-exporter simulate: a port is in use: choose others with --sim.port")
        assert simulator.interrupt().code == 0
    with zipfile.ZipFile(both.folder / "Fall 1 für März.zip") as archive:
        (environment,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("environment.txt"))
    assert "system        Windows" in environment
    assert "marked-secret" not in environment
