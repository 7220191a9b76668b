"""The real application behind a web configuration, and clients with or without certificates."""

import base64
import ssl
from contextlib import asynccontextmanager

from aiohttp import ClientSession, TCPConnector

from exporter.web.access_control import AccessControl
from exporter.web.app import create_app
from exporter.web.listener import ListenAddress, WebServer
from exporter.web.options import web_options
from tests.support.web_server import Service
from tests.unit.web.authority import authority


@asynccontextmanager
async def protected(folder, text, *, address="127.0.0.1", service=None, limiter=None, **flags):
    """Serve with the web configuration `text`; yield the URL and the access control."""
    loaded = folder.load(text)
    assert loaded.problems == ()
    access = AccessControl(folder.path / "web.yml", loaded)
    app = create_app(service or Service(), web_options(access_control=access, **flags))
    async with WebServer(app, [ListenAddress(address, 0)], limiter=limiter) as server:
        yield server.urls[0], access


def trusting(certificate=None, *, maximum=None, folder=None):
    """Return a TLS context of a client that trusts the test authority and can have a `certificate`."""
    context = ssl.create_default_context(cadata=authority().pem.decode())
    if maximum is not None:
        context.maximum_version = maximum
    if certificate is not None:
        folder.place("client", certificate)
        context.load_cert_chain(folder.path / "client.pem", folder.path / "client.key")
    return context


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def request(url, path="/metrics", *, tls=None, user=None, password="", headers=None, method="GET"):
    """Return status, headers and text of a request over its own connection."""
    headers = {**(headers or {}), **({} if user is None else {"Authorization": basic(user, password)})}
    async with (
        ClientSession(connector=TCPConnector(ssl=tls or True, force_close=True)) as session,
        session.request(method, f"{url}{path}", headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, answer.headers, await answer.text()
