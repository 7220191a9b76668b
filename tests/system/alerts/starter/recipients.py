"""The recipients of the starter: a mail server that wants TLS and a sign-in, and the webhook of a Teams workflow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.tls_server import Authority
from tests.system.alerts.alertmanager.server import Recorder

ACCOUNT, PASSWORD = "ekm-alerts@example.com", "MARKED~mail.password"


class MailServer(SMTP):
    """A mail server with the prompts of Exchange: Alertmanager knows no others for the sign-in of the kind LOGIN."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"


@dataclass
class Recipients:
    """What arrived: mails by their address, cards under `teams`. The authority signs the mail server's certificate."""

    authority: Authority
    received: Recorder = field(default_factory=Recorder)
    smtp: str = ""
    teams: str = ""

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd calls it
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        await self.received.record(",".join(envelope.rcpt_tos), letter)
        return "250 kept"


def _sign_in(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object) -> AuthResult:
    good = isinstance(given, LoginPassword) and (given.login, given.password) == (ACCOUNT.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@contextlib.asynccontextmanager
async def listening(place: Path) -> AsyncIterator[Recipients]:
    """Listen on free ports of loopback."""
    recipients = Recipients(Authority(place))
    context = recipients.authority.server("localhost")

    def connection() -> MailServer:
        return MailServer(recipients, tls_context=context, require_starttls=True, auth_required=True, authenticator=_sign_in)

    app = web.Application()
    app.add_routes([web.post("/{name}", recipients.received.webhook)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    post = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    recipients.smtp = f"localhost:{post.sockets[0].getsockname()[1]}"
    recipients.teams = f"http://127.0.0.1:{runner.addresses[0][1]}/teams"
    try:
        yield recipients
    finally:
        post.close()
        await post.wait_closed()
        await runner.cleanup()
