"""The real web application with a service whose probes are scripted."""

import asyncio
import io
import re
import zipfile
from contextlib import asynccontextmanager
from html import unescape

from aiohttp import ClientSession

from exporter.core.limits import FirstProbes
from exporter.knowledge.expiry import mark_wrong_dates
from exporter.metrics.recorder import Recorder
from exporter.state.history import History
from exporter.state.record import TargetRecord
from exporter.state.store import StateStore
from exporter.web.app import create_app
from exporter.web.listener import ListenAddress, WebServer
from exporter.web.options import web_options
from tests.support.web_factories import config, good


class Service:
    """The service of the web application. While `go` is cleared, probes wait."""

    def __init__(self, configuration=None):
        self.config = configuration or config()
        self.recorder = Recorder(self.config, version="1.2.3", mode="run")
        self.state = StateStore(history_limit=10)
        for target in self.config.targets.values():
            record = TargetRecord(target, History(0))
            self.recorder.add_target(target, self.config.modules[target.module], record, now=0.0)
        self.ready = True
        self.first = FirstProbes(targets=len(self.config.targets), missing=0, delayed=0, pace=0.0)
        self.keeps_state = True
        self.version = "1.2.3"
        self.probed = []
        self.ends = {}
        self.checks = {}
        self.readings = []
        self.differences = []
        self.restart = []
        self.answer = good
        self.go = asyncio.Event()
        self.go.set()

    def record_of(self, target):
        return self.state.get(target)

    def add_reports(self, *reports):
        """Record reports as if their probes had just ended; return the id of the last one."""
        for report in reports:
            record = self.state.record(self.config.targets[report.target], report)
        return next(iter(record.history)).id

    def add_auxiliary(self, *results, name="contoso-key0"):
        """Record the auxiliary probes of a target."""
        for each in results:
            self.state.add_auxiliary(self.config.targets[name], each)

    def credential_expiries(self, name):
        return mark_wrong_dates(name, self.ends.get(name, ()), self.state.entra_answer(name))

    def first_probes(self):
        return self.first

    def last_checks(self, target):
        return self.checks.get(target)

    def sql_readings(self):
        return tuple(self.readings)

    def sql_readiness(self):
        return tuple(self.restart)

    def sql_differences(self):
        return tuple(self.differences)

    async def probe(self, target, module, *, timeout):  # noqa: ASYNC109 - the signature of the interface
        self.probed.append((target, module, timeout))
        await self.go.wait()
        return self.answer(target)


@asynccontextmanager
async def serving(service, *, reload=None, address="127.0.0.1", **flags):
    """A client session with paths relative to the running application."""
    app = create_app(service, web_options(**flags), reload=reload)
    async with WebServer(app, [ListenAddress(address, 0)]) as server, ClientSession(server.urls[0]) as session:
        yield session


async def get(session, path, **options):
    """Status, headers and text of a response; the text of a zip file is that of all its files."""
    async with session.get(path, allow_redirects=False, **options) as response:
        if response.content_type == "application/zip":
            return response.status, response.headers, "\n".join(unzipped(await response.read()).values())
        return response.status, response.headers, await response.text()


async def answer(service, path, *, flags=None, **options):
    """Status, headers and text of one response of a service that runs for it alone."""
    async with serving(service, **(flags or {})) as session:
        return await get(session, path, **options)


def unzipped(data):
    """The texts in an archive by name, without the common folder."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}


def words(html):
    """The visible text of a page: tickets are folded."""
    main = html.split("<main ")[1].split("</main>")[0].partition(">")[2]
    main = re.sub(r'<details class="ticket">.*?</details>', "", main, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<button.*?</button>|<[^>]+>", " ", main, flags=re.DOTALL))


def tickets(html):
    """The texts of the tickets of a page."""
    return [unescape(each) for each in re.findall(r'<details class="ticket">.*?<code>(.*?)</code>', html, re.DOTALL)]


async def until(condition):
    """Wait until another task satisfies the condition, thirty seconds at most."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the exporter sets no event for tests
            await asyncio.sleep(0.001)
