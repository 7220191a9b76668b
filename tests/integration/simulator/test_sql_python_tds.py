"""python-tds logs in to a simulated SQL Server and reads what inventory.sql reads."""

import asyncio

import pytds
import pytest

from exporter.sqlserver.document import SECTIONS, read_documents
from exporter.sqlserver.instance import instance_of
from tests.support.simulated_sql import DEFAULT, FIRST, SECOND, client, script_output

pytestmark = pytest.mark.asyncio


def run(servers, work, name=FIRST, **options):
    """Run `work` with a cursor, on a thread."""

    def with_client():
        with client(servers, name, **options) as cursor:
            return work(cursor)

    return asyncio.to_thread(with_client)


@pytest.fixture
def ca_file(tmp_path):
    return tmp_path / "ca.pem"


@pytest.mark.parametrize("encryption", ["none", "login", "everything"])
async def test_script_is_answered_with_and_without_encryption(servers, ca_file, encryption):
    ca_file.write_bytes(servers.ca_pem)
    options = {} if encryption == "none" else {"cafile": str(ca_file), "enc_login_only": encryption == "login"}
    text = await run(servers, script_output, **options)

    (document,) = read_documents(text)
    assert (document.failure, dict(document.errors), set(document.sections)) == (None, {}, set(SECTIONS))


async def test_each_server_answers_with_its_own_names(servers):
    found = [instance_of(read_documents(await run(servers, script_output, name))[0]) for name in (FIRST, SECOND, DEFAULT)]

    assert [(one.server_name, one.sql_instance, one.host) for one in found] == [
        ("N1\\SQLPRD01", "SQLPRD01", "n1"),
        ("N2\\SQLPRD01", "SQLPRD01", "n2"),
        ("N3", "N3", "n3"),
    ]
    assert found[0].replicas == found[1].replicas == (("AG7", FIRST), ("AG7", SECOND))
    assert {one.thumbprint for one in found[2].databases} == {"0x" + "C3" * 20}


@pytest.mark.parametrize("user", ["ekm", "sa"])
async def test_wrong_login_is_refused_with_message_18456(servers, user):
    with pytest.raises(pytds.OperationalError, match=f"Login failed for user '{user}'"):
        await run(servers, script_output, user=user, password="wrong")


async def test_unknown_statement_is_an_error_and_the_connection_goes_on(servers):
    def work(cursor):
        with pytest.raises(pytds.Error, match="statements of the product only"):
            cursor.execute("SELECT secret AS answer FROM dbo.Customers")
        return cursor.execute_scalar("SELECT 1")

    assert await run(servers, work) == 1
