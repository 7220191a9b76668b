"""`inventory --url`: readings of running exporters as documents, and every reason why there are none."""

import asyncio
import json
from contextlib import AsyncExitStack, contextmanager

import pytest

from exporter.cli.inventory import COMMAND, read_exporters
from exporter.cli.main import Refusal, build_parser
from exporter.inventory.folder import Sources
from exporter.sqlserver.document import completed
from exporter.sqlserver.reading import reading_values
from tests.support.sql_readings import a_reading, an_unread_server
from tests.support.values import replace
from tests.unit.clients.test_peers import answering, giving


def read(*flags):
    sources = Sources()
    read_exporters(build_parser(["inventory"]).parse_args(["inventory", *map(str, flags)]), sources)
    return sources


async def read_from(*answers, flags=()):
    """Read an exporter for each answer: readings, or a status. Returns the sources and the URLs."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(answering(response(answer))) for answer in answers]
        named = [word for url in urls for word in ("--url", url)]
        return await asyncio.to_thread(read, *named, *flags), urls


def response(answer):
    if isinstance(answer, int):
        return giving(status=answer)
    listed = {"at": "2026-11-26T20:00:00.000Z", "sql_servers": [reading_values(each) for each in answer]}
    return giving(body=json.dumps(listed).encode())


def whole(address):
    reading = a_reading(address=address)
    return replace(reading, document=completed(reading.document))


async def test_readings_of_two_exporters_are_documents():
    sources, urls = await read_from([whole("n1"), whole("n2")], [whole("n1")])
    assert [(one.document.address, one.where) for one in sources.readings] == [
        ("n1", urls[0]), ("n2", urls[0]), ("n1", urls[1]),
    ]  # fmt: skip
    assert all(one.of_exporter and not one.direct for one in sources.readings)
    assert sources.failures == []


async def test_server_that_no_exporter_read_is_a_failure():
    sources, (url,) = await read_from([whole("n1"), an_unread_server("n2", failure="no such name")])
    assert sources.failures == [f"{url}: n2: not read: no such name"]
    assert [one.document.failure for one in sources.readings] == [None, "no such name"]


async def test_server_that_another_exporter_read_is_no_failure():
    sources, _ = await read_from([an_unread_server("N1")], [whole("n1")])
    assert sources.failures == []
    assert [one.document.failure for one in sources.readings] == [None]


async def test_exporter_without_readings_is_a_failure():
    sources, urls = await read_from(404, [], [whole("n1")])
    other = "it has another version than this program. Install one version of both"
    assert sources.failures == [
        f"the exporter at {urls[0]} does not report /api/v1/sql-servers: {other}",
        f"{urls[1]}: the exporter reads no SQL Server: add sql_servers to its configuration (ekm-exporter docs sql-servers)",
    ]
    assert len(sources.readings) == 1


def test_nothing_is_read_without_a_url():
    assert read("--web.user", "u").readings == []


@contextmanager
def refused(text):
    with pytest.raises((Refusal, *COMMAND.refusals), match=text):
        yield


def test_flags_that_cannot_be_used_are_refused(tmp_path):
    url = "--url", "http://127.0.0.1:1"
    with refused("belong together"):
        read(*url, "--web.user", "u")
    with refused("no such file"):
        read(*url, "--web.ca.file", tmp_path / "gone.pem")
    with refused("gone"):
        read(*url, "--web.user", "u", "--web.password.file", tmp_path / "gone")
    password = tmp_path / "password"
    password.write_text("hunter22-hunter22")
    password.chmod(0o600)
    with refused("use an https URL"):
        read("--url", "http://ekm.example", "--web.user", "u", "--web.password.file", password)


async def test_file_of_urls_names_exporters(tmp_path):
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(answering(response([whole(name)]))) for name in ("n1", "n2")]
        (tmp_path / "exporters.txt").write_text(f"# all\n{urls[0]}\n{urls[1]}  # second\n{urls[0]}\n")
        sources = await asyncio.to_thread(read, "--urls", tmp_path / "exporters.txt")
    assert [one.document.address for one in sources.readings] == ["n1", "n2"]
