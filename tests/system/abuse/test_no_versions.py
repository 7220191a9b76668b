"""No response to any request, even a malformed one, names the server, Python or a library."""

import asyncio
import platform
import ssl
from contextlib import suppress

import aiohttp
import bcrypt

from exporter.web.app import create_app
from exporter.web.listener import ListenAddress, WebServer
from exporter.web.options import web_options
from tests.support.web_server import Service
from tests.system.abuse.harness import tls
from tests.unit.web.conftest import Folder
from tests.unit.web.serving import protected

VERSIONS = (platform.python_version(), ".".join(platform.python_version_tuple()[:2]), aiohttp.__version__, ssl.OPENSSL_VERSION)
NAMES = ("python", "aiohttp", "openssl", "traceback")
NOTATION = ("bytearray", "b'")  # the repr of bytes in Python
HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
REQUESTS = {
    "no request line": b"nonsense\r\n\r\n",
    "strange method": b"BR@W / HTTP/1.1\r\nHost: x\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
    "huge": b"GET / HTTP/1.1\r\n" + b"".join(b"X: %s\r\n" % (b"a" * 8000) for _ in range(10)) + b"\r\n",
    "bad length": b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    "foreign host": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "wrong method": b"DELETE /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "connect": b"CONNECT x:1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "unknown path": b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "upgrade": b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\njunk\r\n\r\n",
    "HTTP/0.9": b"GET /-/healthy\r\n\r\n",
    "HTTP/1.0": b"GET /-/healthy HTTP/1.0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "good": b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}


async def answer_to(sent, port, **options):
    """The response, until the server closes the connection or is silent for 0.3 seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    received = b""
    try:
        writer.write(sent)
        if not options:
            writer.write_eof()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(0.3):
                while piece := await reader.read(65536):
                    received += piece
    finally:
        writer.transport.abort()
    return received.decode("latin-1")


def assert_names_no_version(answer):
    assert [word for word in VERSIONS + NAMES if word.lower() in answer.lower()] == []


async def everything(port, **options):
    answers = {name: await answer_to(sent, port, **options) for name, sent in REQUESTS.items()}
    for answer in answers.values():
        assert_names_no_version(answer)
    return answers


async def test_exporter_names_no_version():
    async with WebServer(create_app(Service(), web_options(), reload=None), [ListenAddress("127.0.0.1", 0)]) as server:
        answers = await everything(server.listening[0].port)
    assert [name for name, answer in answers.items() if any(word in answer for word in NOTATION)] == []
    assert {name for name, answer in answers.items() if not answer.startswith("HTTP/")} <= {"huge"}
    for name in ("no request line", "long header", "bad length", "HTTP/2"):
        assert " 400 " in answers[name].splitlines()[0]
        assert "\r\nX-Content-Type-Options: nosniff\r\n" in answers[name]
        assert answers[name].endswith("Malformed request. Send a valid HTTP/1.1 request.\n")


async def test_tls_listener_with_passwords_names_no_version(tmp_path):
    folder = Folder(tmp_path)
    text = f"tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\nbasic_auth_users:\n  a: {HASH}\n"
    async with protected(folder, text) as (url, _):
        port = int(url.rpartition(":")[2])
        answers = await everything(port, ssl=tls(), server_hostname="localhost")
        assert answers["good"].startswith("HTTP/1.1 401 ")
        assert_names_no_version(await answer_to(REQUESTS["good"], port))  # no TLS
