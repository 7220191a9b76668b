"""Clients of other projects read simulated SQL Servers: FreeTDS through pymssql and tsql."""

import asyncio
import subprocess

import pymssql
import pytest

from exporter.sqlserver.document import PROOF_SECTIONS, SECTIONS, read_documents
from exporter.sqlserver.script import LOG, PROOF
from exporter.sqlserver.script import batches as package_batches
from tests.support.simulated_sql import FIRST, batches

pytestmark = pytest.mark.asyncio


async def with_pymssql(servers, work, **options):
    def run():
        wanted = {"user": "ekm", "password": servers.password, "login_timeout": 30, "timeout": 30, **options}
        connection = pymssql.connect(server="127.0.0.1", port=servers.ports[FIRST], **wanted)
        try:
            with connection.cursor(as_dict=True) as cursor:
                return work(cursor)
        finally:
            connection.close()

    return await asyncio.to_thread(run)


@pytest.mark.parametrize("encryption", ["off", "request", "require"])
async def test_pymssql_signs_in_with_each_setting_of_encryption(servers, encryption):
    def work(cursor):
        cursor.execute("SELECT @@SERVERNAME AS name")
        return cursor.fetchall()

    assert await with_pymssql(servers, work, encryption=encryption) == [{"name": FIRST}]


async def test_pymssql_reads_the_script(servers):
    def work(cursor):
        lines = []
        for batch in batches():
            cursor.execute(batch)
            lines += [next(iter(row.values())) for row in cursor.fetchall()]
        return "\n".join(lines)

    (document,) = read_documents(await with_pymssql(servers, work))
    assert (document.failure, dict(document.errors), set(document.sections)) == (None, {}, set(SECTIONS))


async def test_pymssql_reads_what_proves_itself(servers):
    def work(cursor):
        found = {}
        for section, batch in package_batches(PROOF):
            cursor.execute(batch)
            found[section] = [next(iter(row.values())) for row in cursor.fetchall()]
        return found

    found = await with_pymssql(servers, work)
    assert {section for section, lines in found.items() if lines[0].startswith(f'|{{"section":"{section}"')} == {
        *PROOF_SECTIONS
    } - {LOG}


@pytest.mark.real
async def test_tsql_prints_the_rows_of_several_batches(servers):
    lines = "SELECT @@SERVERNAME AS name\ngo\nSELECT 7 AS seven\ngo\nSELECT nothing FROM nowhere\ngo\nexit\n"
    command = ["tsql", "-H", "127.0.0.1", "-p", str(servers.ports[FIRST]), "-U", "ekm", "-P", servers.password]
    done = await asyncio.to_thread(subprocess.run, command, input=lines, capture_output=True, text=True, timeout=60, check=False)

    assert f"name\n{FIRST}\n(1 row affected)" in done.stdout
    assert "seven\n7\n(1 row affected)" in done.stdout
    assert "Msg 50000 (severity 16, state 1)" in done.stderr + done.stdout


@pytest.mark.real
async def test_tsql_encrypts_if_it_must(servers, tmp_path):
    settings = tmp_path / "freetds.conf"
    settings.write_text(
        f"[simulated]\nhost = 127.0.0.1\nport = {servers.ports[FIRST]}\ntds version = 7.4\nencryption = require\n"
    )
    command = ["tsql", "-S", "simulated", "-U", "ekm", "-P", servers.password]
    environment = {"FREETDSCONF": str(settings), "LANG": "C.UTF-8"}
    done = await asyncio.to_thread(
        subprocess.run, command, input="SELECT 7 AS seven\ngo\nexit\n", capture_output=True, text=True, timeout=60, check=False,
        env=environment,
    )  # fmt: skip

    assert "seven\n7\n" in done.stdout
