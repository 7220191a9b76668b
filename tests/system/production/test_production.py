"""docs/production.md, command by command: from the installation to the mail of a game day, its end, and the gate before a restart."""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import aiohttp
import pytest

from exporter.config.load import load_config
from exporter.simulator.build import build_environment, write_config
from exporter.simulator.simulator import Simulator
from tests.support.written import write_private
from tests.system.alerts.alertmanager.server import words
from tests.system.alerts.starter.installed import started
from tests.system.alerts.starter.recipients import ACCOUNT, PASSWORD, listening
from tests.system.production.reader import STEPS, Reader, block, step
from tests.system.prometheus.servers import answered, free_port

pytestmark = [pytest.mark.real, pytest.mark.asyncio]

SECRET = "66666666777788889999000000000000MARKED~typed.secret_9Z"
# What the SQL Server of the page uses. The page's commands find it out.
SIMULATED = """\
credentials: {tde_cred: {type: connector_secret, secret_file: secret, expires_on: 2099-01-01}}
targets:
  - name: sales
    vault: contoso-prod
    key: ContosoRSAKey0/0123456789abcdef0123456789abcdef
    thumbprint: "0x2C5677D76EC94B0D1E1A2B3C4D5E6F7081920A3B"
    credential: tde_cred
    connector_generation: current
    instances: [{sql_instance: SQLPRD01, host: n1, ag: AG7}]
"""
DBA, DAILY = "dba@example.com", "ekm-exporter: alerting works"


@dataclass(frozen=True)
class Azure:
    """The simulated vault and SQL Server. `modules` is the part of a configuration that leads to the vault."""

    server: str
    password: str
    ca_pem: bytes
    modules: str
    restart: Callable[[], object]  # of SQL Server


@contextlib.asynccontextmanager
async def simulated(place):
    """Serve the page's vault and SQL Server."""
    place.mkdir()
    write_private(place / "secret", SECRET)
    (place / "ekm.yml").write_text(SIMULATED)
    config = load_config(place / "ekm.yml").config
    async with Simulator(build_environment(config), sql_port=0) as simulator:
        written = write_config(simulator, config, place / "sim").read_text()
        (server,) = simulator.sql.ports.values()
        modules = re.search(r"^modules:\n(?:  .*\n)+", written, re.MULTILINE)[0]
        restart = partial(simulator.served_sql.restart, "N1\\SQLPRD01")
        yield Azure(f"127.0.0.1,{server}", simulator.sql.password, simulator.ca_pem, modules, restart)


@contextlib.asynccontextmanager
async def host(place):
    """Start what the page needs. Yield the reader, the simulator, the exporter's address, the recipients and the starter."""
    address = f"127.0.0.1:{free_port()}"
    async with (
        simulated(place / "azure") as azure,
        listening(place) as recipients,
        started(place, address, recipients) as starter,
    ):
        (place / "host").mkdir()
        replaced = {
            "n1.contoso.com": azure.server,
            "ekmexporter": "ekm",
            "2027-03-01": str(datetime.now(UTC).date() + timedelta(days=300)),  # the page's date will pass
            "gate --all": f"gate --all --url http://{address} --for 1s",  # an hour of the page is a second
        }
        yield Reader(place / "host", replaced, [azure.password, SECRET]), azure, address, recipients, starter


async def follow_to_the_verdict(reader, azure):
    for number in (1, 2):
        await reader.follow(step(number))
    (reader.folder / "company-ca.pem").write_bytes(azure.ca_pem)
    reader.saves(block(3, "yaml"))
    await reader.follow(step(3))
    reader.saves(block(4, "yaml") + azure.modules)
    for number in (4, 5):
        await reader.follow(step(number))


def probe_faster(reader):
    """Probe every second: for the rules, whose durations are divided by a hundred, one every hundred seconds. Read SQL Server every minute."""
    path = reader.folder / "ekm.yml"
    path.write_text(path.read_text().replace("interval: 60s", "interval: 1s\n  timeout: 500ms\n  sql_interval: 1m"))


async def text_of_page(address):
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/") as answer:
        return " ".join(re.sub(r"<[^>]+>", " ", await answer.text()).split())


async def test_page_leads_to_the_mail_and_the_gate(tmp_path):
    async with host(tmp_path) as (reader, azure, address, recipients, starter):

        async def arrival(to, title):
            return (await recipients.received.first(lambda one: one.to == to and title_of(one) == title)).body

        await follow_to_the_verdict(reader, azure)
        await reader.follow(step(6))
        probe_faster(reader)
        async with reader.service(address):
            await answered(f"http://{address}/metrics", lambda text: "ekm_probe_success{" in text)
            assert block(6, "text").strip() in await text_of_page(address)
            await starter.load_rules()
            daily = await arrival(DBA, DAILY)
            title, *pieces = sample()
            breaks, ends = step(8)[:2], step(8)[2:]
            await reader.follow(breaks)
            mail, card = await arrival(DBA, title), await arrival("teams", title)
            assert "(secret_wrong)" in words(mail)
            await reader.follow(ends)
            ended, green = await arrival(DBA, f"Resolved: {title}"), await arrival("teams", f"Resolved: {title}")
            # The hour of the page has a log backup since the first reading; here, SQL Server starts again.
            before = starts(await answered(f"http://{address}/metrics", starts))
            azure.restart()
            await answered(f"http://{address}/metrics", lambda text: starts(text) not in ([], before))
            await reader.follow(step(9))
        logs = starter.logs() + (reader.place / "log").read_text()

    assert reader.done == [command for number in STEPS for command, _ in step(number)]
    assert (mail["To"], mail["From"]) == (DBA, ACCOUNT)
    for text in (words(mail), text_of(card)):
        flat = re.sub(r"since [\d :-]+ UTC", "since TIME", " ".join(text.replace(address, "sqlhost1:10377").split()))
        assert [piece for piece in pieces if piece not in flat] == [], flat
    assert "This mail comes every morning." in words(daily)
    assert "Resolved: contoso-prod-tde_cred" in words(ended)
    assert (heading(card)["color"], heading(green)["color"]) == ("Attention", "Good")
    assert sent(recipients, "teams") == [title, f"Resolved: {title}"]
    assert sent(recipients, DBA) == [title, f"Resolved: {title}"]
    emitted = logs + "".join(reader.outputs)
    assert [secret for secret in (SECRET, PASSWORD, recipients.teams) if secret in emitted] == []


def starts(text):
    """Return when SQL Server started, as the exporter's metrics show it."""
    return re.findall(r"^mssql_ekm_start_timestamp_seconds\{.*", text, re.MULTILINE)


def sample():
    """Return the title of the page's mail, and the pieces of its text between the marks of omission."""
    title, _, text = block(8, "text").partition("\n")
    flat = re.sub(r"since [\d :-]+ UTC", "since TIME", " ".join(text.split()))
    return [title, *(piece.strip() for piece in flat.split("..."))]


def sent(recipients, to):
    """Return the titles of the alert of the game day. A busy machine can cause alerts about itself."""
    return [title for title in map(title_of, recipients.received.at(to)) if "EkmCredentialRefused" in title]


def title_of(arrived):
    return heading(arrived.body)["text"] if arrived.to == "teams" else arrived.body["Subject"]


def heading(card):
    return card["attachments"][0]["content"]["body"][0]


def text_of(card):
    """Return the text of an adaptive card as the template of a workflow expects it."""
    (attachment,) = card["attachments"]
    assert (card["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    content = attachment["content"]
    assert (content["type"], content["msteams"]) == ("AdaptiveCard", {"width": "full"})
    title, text = content["body"]
    assert {title["type"], text["type"]} == {"TextBlock"}
    assert title["wrap"]
    assert text["wrap"]
    return text["text"]
