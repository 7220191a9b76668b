"""Clients of one address that never read their responses: memory stays bounded, others are served."""

import json
import re
import select
import socket
import sys
from collections import Counter
from contextlib import ExitStack, asynccontextmanager

from aiohttp import ClientSession, TCPConnector

from tests.support.patience import PATIENCE
from tests.system.abuse.harness import SECRET, configuration, write
from tests.system.endurance.fleet import output
from tests.system.endurance.procfs import held
from tests.system.prometheus.servers import running

TARGETS = 400
CONNECTIONS = 600
MOST_MEMORY_GROWN = 48 * 1024 * 1024
MOST_MEMORY_OF_ALL = 64 * 1024 * 1024  # by all responses one after another


@asynccontextmanager
async def large_exporter(folder):
    """The process id and port of an exporter with long responses and without a scheduler."""
    write(folder / "secret", SECRET)
    base = configuration()
    targets = [{**base["targets"][0], "name": f"target-{number}", "vault": f"vault-{number}"} for number in range(TARGETS)]
    source = write(folder / "ekm.yml", json.dumps({**base, "targets": targets}))
    log = folder / "exporter.log"
    flags = ("--no-scheduler", "--config.file", source, "--web.listen-address", "127.0.0.1:0")
    async with running(log, sys.executable, "-m", "exporter", "run", *flags) as process:
        yield process.pid, int(await output(log, r"url=http://127\.0\.0\.1:(\d+)"))


async def scraped(port, path, encoding):
    connector = TCPConnector(local_addr=("127.0.0.2", 0))
    headers = {"Accept-Encoding": encoding}
    async with (
        ClientSession(connector=connector) as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as answer,
    ):
        return answer.status, await answer.read()


def request_without_reading(held_open, port, path, encoding):
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: {encoding}\r\n\r\n".encode()
    clients = []
    for _ in range(CONNECTIONS):
        client = held_open.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.bind(("127.0.0.3", 0))
        client.connect(("127.0.0.1", port))
        client.sendall(request)
        clients.append(client)
    return clients


def first_bytes(client):
    """The beginning of the response; empty if the exporter has cut the connection."""
    assert select.select([client], [], [], 30)[0]
    try:
        return client.recv(4096)
    except ConnectionError:
        return b""


def status_of(answer):
    (code,) = re.findall(rb"^HTTP/1.1 (\d+) ", answer) or [b"cut"]
    if code == b"503":
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert b"Try again later.\n" in answer
    return code.decode()


# The small ones first: what the exporter keeps of a large one could hide their memory.
RESPONSES = (
    ("/config", "identity"), ("/metrics", "gzip"), ("/api/v1/targets", "identity"), ("/targets", "identity"),
    ("/metrics", "identity"),
)  # fmt: skip


async def test_unread_responses_take_little_memory_and_block_no_client(tmp_path):
    """The memory of one exporter is bounded over all responses together."""
    async with large_exporter(tmp_path) as (pid, port):
        whole = {wanted: await scraped(port, *wanted) for wanted in RESPONSES}
        assert {status for status, _ in whole.values()} == {200}
        assert min(len(body) for _, body in whole.values()) > 20_000
        before = held(pid).memory
        for path, encoding in RESPONSES:
            with ExitStack() as held_open:
                clients = request_without_reading(held_open, port, path, encoding)
                status, again = await scraped(port, path, encoding)
                assert (status, abs(len(again) - len(whole[path, encoding][1])) < 10_000) == (200, True), path
                answers = Counter(status_of(first_bytes(client)) for client in clients)
                assert held(pid).memory - before < MOST_MEMORY_OF_ALL, path
            assert set(answers) <= {"200", "503", "cut"}
            assert answers["503"] > 0 or (path, encoding) != ("/metrics", "identity")
