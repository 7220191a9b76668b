"""The starter brings a fault of a vault to a mail and to a Teams card, and its end too."""

import contextlib
import re
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.integration.process.conftest import commands
from tests.system.alerts.alertmanager.server import words
from tests.system.alerts.starter.installed import started
from tests.system.alerts.starter.recipients import ACCOUNT, PASSWORD, listening
from tests.system.prometheus.servers import answered, free_port

pytestmark = [pytest.mark.real, pytest.mark.asyncio]

PAGE = Path(__file__).parents[4] / "docs" / "first-vault.md"
FAULT = {"vault": "contoso-prod", "fault": "role_removed", "operation": "unwrapKey"}
TITLE = (
    "EkmForbiddenSpike: A vault refuses what SQL Server needs, 3077 (3113 on connector 1.0.5.0)."
    " contoso-key0 (SQLPRD01 on n1 (AG7))"
)
RESOLVED = f"Resolved: {TITLE}"
DBA, DAILY = "dba@example.com", "ekm-exporter: alerting works"


def configuration(place: Path) -> Path:
    """Write the configuration of docs/first-vault.md, with a probe every second: for the rules, one every hundred seconds."""
    (code,) = re.findall(r"```yaml\n(global:.*?)```", PAGE.read_text(), re.DOTALL)
    config = yaml.safe_load(code)
    config["global"] |= {"interval": "1s", "timeout": "500ms"}
    (place / "secrets").mkdir()
    secret = place / "secrets" / "ekm-credential"
    secret.write_text("c7a1f0e8d29b4c56a3e47d8b1f60925eMARKED-typed-secret_9Z")
    secret.chmod(0o600)
    (place / "ekm.yml").write_text(yaml.safe_dump(config))
    return place / "ekm.yml"


@contextlib.asynccontextmanager
async def environment(place: Path):
    """Start simulator, exporter, recipients and the starter. Yield the simulator's URL, the exporter's address and the last two."""
    address = f"127.0.0.1:{free_port()}"
    async with commands() as command, listening(place) as recipients, started(place, address, recipients) as starter:
        ports = ("--sim.port", 0, "--sim.management-port", 0)
        simulator = await command("simulate", "--config.file", configuration(place), "--out", place / "sim", *ports)
        management = (await simulator.output(r"management port: (http://\S+)"))[1]
        await command("run", "--config.file", place / "sim" / "ekm.yml", "--web.listen-address", address)
        await answered(f"http://{address}/metrics", lambda text: "ekm_probe_success{" in text)
        await starter.load_rules()
        yield management, address, recipients, starter


async def test_fault_is_one_mail_and_one_card_and_so_is_its_end(tmp_path):
    async with environment(tmp_path) as (management, address, recipients, starter), aiohttp.ClientSession() as session:

        async def arrival(to, title):
            return (await recipients.received.first(lambda one: one.to == to and heading(one) == title)).body

        daily = await arrival(DBA, DAILY)
        assert "This mail comes every morning." in words(daily)
        await session.post(f"{management}/sim/fault", json=FAULT, raise_for_status=True)
        mail, card = await arrival(DBA, TITLE), await arrival("teams", TITLE)
        await session.delete(f"{management}/sim/fault", raise_for_status=True)
        ended, green = await arrival(DBA, RESOLVED), await arrival("teams", RESOLVED)
        logs = starter.logs()

    assert (mail["To"], mail["From"]) == (DBA, ACCOUNT)
    for text in (words(mail), text_of(card)):
        assert_has_what_to_do(text, address)
    assert "Resolved: contoso-key0 at 20" in words(ended)
    assert (title_of(card)["color"], title_of(green)["color"]) == ("Attention", "Good")
    assert sent(recipients, DBA) == [DAILY, TITLE, RESOLVED]
    assert sent(recipients, "teams") == [TITLE, RESOLVED]
    assert PASSWORD not in logs
    assert recipients.teams not in logs


def assert_has_what_to_do(text, address):
    for expected in (
        "contoso-key0 (contoso-prod.vault.azure.net)",
        "SQL Servers that depend on it: SQLPRD01 on n1 (AG7).",
        "3077 (3113 on connector 1.0.5.0)",
        "First: Assign the role to the principal on the vault: az role assignment create ",
        "Do not restart or fail over SQL Server until a probe succeeds.",
        "About this alert: runbooks/EkmForbiddenSpike.md",
        f"http://localhost:{address.partition(':')[2]}/targets/contoso-key0",
    ):
        assert expected in text, text
    assert "example.com" not in text


def heading(arrived):
    return title_of(arrived.body)["text"] if arrived.to == "teams" else arrived.body["Subject"]


def sent(recipients, to):
    """Return the titles of the daily mail and of the alert. A busy machine can cause alerts about itself."""
    titles = [heading(one) for one in recipients.received.at(to)]
    return [title for title in titles if title == DAILY or "EkmForbiddenSpike" in title]


def title_of(card):
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
