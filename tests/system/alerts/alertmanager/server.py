"""A running Alertmanager and its receivers: a PagerDuty, webhooks and a mail server that record what arrives."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.patience import PATIENCE


@dataclass(frozen=True)
class Arrived:
    """`to` is the path of a webhook, the routing key of a page, or the address of a mail; `body` is JSON or a message."""

    to: str
    body: Any
    at: float = field(default_factory=time.monotonic, compare=False)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """The alerts of a webhook."""
        return self.body["alerts"]

    def names(self) -> set[str]:
        """Return the names of the alerts of a webhook."""
        return {alert["labels"]["alertname"] for alert in self.alerts}


@dataclass
class Recorder:
    arrived: list[Arrived] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def record(self, to: str, body: Any) -> None:
        async with self.news:
            self.arrived.append(Arrived(to, body))
            self.news.notify_all()

    def at(self, to: str) -> list[Arrived]:
        return [each for each in self.arrived if each.to == to]

    async def first(self, good: Callable[[Arrived], bool], *, seconds: float = PATIENCE) -> Arrived:
        """Return the first arrival that is good, past ones included. The test fails if there is none in time."""
        try:
            async with asyncio.timeout(seconds), self.news:
                while not (found := next(filter(good, self.arrived), None)):
                    await self.news.wait()
        except TimeoutError:
            pytest.fail(f"nothing of the kind arrived in {seconds:.0f} s, only {[str(each)[:300] for each in self.arrived[-8:]]}")
        return found

    async def webhook(self, request: web.Request) -> web.Response:
        await self.record(request.path.removeprefix("/"), await request.json())
        return web.Response()

    async def pagerduty(self, request: web.Request) -> web.Response:
        event = await request.json()
        await self.record(event["routing_key"], event)
        return web.json_response({"status": "success", "dedup_key": event["dedup_key"]}, status=202)

    async def mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to the mail server: sign-in and one or more mails."""
        to: list[str] = []
        writer.write(b"220 recorder\r\n")
        with contextlib.suppress(ConnectionError):
            while line := (await reader.readline()).decode().strip():
                verb = line.split()[0].upper()
                if verb == "RCPT":
                    to.append(line.partition("<")[2].partition(">")[0])
                writer.write(self.reply(verb, line))
                if verb == "DATA":
                    letter = await reader.readuntil(b"\r\n.\r\n")
                    writer.write(b"250 kept\r\n")
                    await self.record(",".join(to), message_from_bytes(letter, policy=policy.default))
                    to = []
        writer.close()

    @staticmethod
    def reply(verb: str, line: str) -> bytes:
        """Return the reply of the mail server. Sending needs the password of the file."""
        if verb == "EHLO":
            return b"250-recorder\r\n250 AUTH PLAIN\r\n"
        if verb == "AUTH":
            password = base64.b64decode(line.split()[2]).split(b"\0")[2]
            return b"235 welcome\r\n" if password == b"value-of-smtp-password" else b"535 no\r\n"
        return {"DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n")


def words(letter: EmailMessage) -> str:
    """Return the text of a mail."""
    part = letter.get_body(("plain", "html"))
    assert part is not None
    return part.get_content()


@contextlib.asynccontextmanager
async def listening(recorder: Recorder) -> AsyncIterator[tuple[str, str]]:
    """Yield the URL of the webhooks and the address of the mail server, on free ports of loopback."""
    app = web.Application()
    app.add_routes([web.post("/pagerduty", recorder.pagerduty), web.post("/{name}", recorder.webhook)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    post = await asyncio.start_server(recorder.mail, "127.0.0.1", 0)
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}", f"127.0.0.1:{post.sockets[0].getsockname()[1]}"
    finally:
        post.close()
        await post.wait_closed()
        await runner.cleanup()


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager: its API, and what its receivers recorded."""

    url: str
    received: Recorder = field(default_factory=Recorder)

    async def post(
        self, *alerts: dict[str, str], firing: bool = True, description: str = "", annotations: dict[str, str] | None = None
    ) -> None:
        """Post alerts as Prometheus does: the end is in the future while they fire, and now when they end."""
        end = datetime.now(UTC) + timedelta(hours=1 if firing else 0)
        texts = {
            "summary": "Something is wrong.",
            "runbook_url": "https://example.com/runbook",
            "dashboard_url": "https://example.com/d",
            "sql_servers": "SQLPRD01",
            **(annotations or {}),
        }
        body = [
            {
                "labels": labels,
                "annotations": texts | {"description": description or f"{labels.get('target', 'It')} is in trouble."},
                "endsAt": end.isoformat(),
            }
            for labels in alerts
        ]
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.post(f"{self.url}/api/v2/alerts", json=body)

    async def all_sent(self) -> None:
        """Wait until all alerts posted before were sent, if they are sent at all.

        Two pages that are posted later, one after the other, have waited as long.
        """
        for _ in range(2):
            name = f"EkmFence{time.monotonic_ns()}"
            await self.post({"alertname": name, "severity": "critical"})
            fence = await self.received.first(lambda each, name=name: name in str(each.body))
            self.received.arrived.remove(fence)
