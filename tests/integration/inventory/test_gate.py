"""The command `gate` with a real exporter against the simulator, and the inventory that `inventory` wrote."""

import asyncio
import json
import time
from datetime import UTC, date, datetime

import pytest

from exporter.cli.main import main
from exporter.config.settings import Settings
from exporter.core.values import Vantage
from exporter.simulator.simulator import Simulator
from tests.integration.lifecycle.credential_kinds import NOW, Secret
from tests.integration.lifecycle.harness import VAULT, VERSION, environment, simulated_module
from tests.support.command_lines import with_defaults
from tests.support.factories import a_config, a_target
from tests.support.running import a_service
from tests.support.sql_inventory import reg_query, rows_of, sqlcmd
from tests.support.values import replace
from tests.support.web_server import until

KEY_URI = f"https://{VAULT}/keys/Key0/{VERSION}"
PATIENT = 30.0  # seconds of each probe: a loaded machine makes none fail


def row(server="N1\\SQLPRD01", **more):
    """What a SQL Server answers now."""
    rows = rows_of(server, vault="contoso", **more)
    rows["instance"][0]["read_at_utc"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return rows


class Night:
    """A simulator, an exporter and an inventory, and the command."""

    def __init__(self, path, capsys):
        self.path, self._capsys = path, capsys
        self.kind = Secret(path)
        self.simulator = Simulator(environment(self.kind))
        self.service = None
        (path / "in").mkdir()
        (path / "in" / "keys.txt").write_text(reg_query({"2C56": KEY_URI}))
        self.read(row())

    def read(self, *servers):
        """Write what these SQL Servers answered, and run `inventory`."""
        for number, rows in enumerate(servers):
            (self.path / "in" / f"{number}.txt").write_text(sqlcmd(rows))
        assert main(["inventory", "--from", str(self.path / "in"), "--out", str(self.path / "targets.d")]) == 0
        self._capsys.readouterr()

    async def start(self):
        """Start the exporter, and wait for its first probe."""
        if self.service is None:
            await self.simulator.start()
        self.service = a_service(self._configuration())
        await self.service.start()
        await until(lambda: self.service.ready)

    async def stop(self):
        if self.service is not None:
            await self.service.stop()
            await self.simulator.stop()

    async def gate(self, *flags, which=("--instance", "SQLPRD01"), ready_for="0s", url=None):
        """Exit code and standard output of the command. No exporter reads these servers, so the question is that of the vault's side."""
        url = url or self.service._web.urls[0]
        defaults = {"--url": url, "--inventory": self.path / "targets.d", "--for": ready_for}
        code = await asyncio.to_thread(main, ["gate", "--vault-side", *which, *with_defaults(flags, defaults)])
        return code, self._capsys.readouterr().out

    async def conditions(self, **options):
        """Exit code and conditions of the reasons."""
        code, text = await self.gate("--json", **options)
        return code, [each["condition"] for each in json.loads(text)["reasons"]]

    def _configuration(self):
        target = a_target(
            "contoso-key0", vault=VAULT, key_name="Key0", key_version=VERSION, credential="now", interval=2 * PATIENT
        )
        target = replace(target, timeout=PATIENT, instances=({"sql_instance": "SQLPRD01"},))
        return a_config(
            target,
            credentials=(replace(self.kind.credential("now", NOW), expires_on=date(2099, 1, 1)),),
            modules=(simulated_module(self.simulator, self.path),),
            settings=Settings(interval=2 * PATIENT, timeout=PATIENT, vantage=Vantage.SQL_HOST),
        )


@pytest.fixture
async def night(tmp_path, capsys):
    made = Night(tmp_path, capsys)
    yield made
    await made.stop()


async def test_ready_instance_is_0(night):
    await night.start()
    code, text = await night.gate()
    headline, reading, key, *_ = text.splitlines()
    assert (code, headline, key) == (
        0,
        "ready: the vault side of 1 instance, 1 key, 1 database",
        f"N1\\SQLPRD01: 1 database under {KEY_URI}, probed by contoso-key0",
    )
    assert reading.startswith("inventory: N1\\SQLPRD01 was read ")
    assert await night.conditions(which=("--all",)) == (0, [])


async def test_fault_is_1_with_the_reason(night):
    night.simulator.apply("unwrap_forbidden", vault=VAULT)
    await night.start()
    code, text = await night.gate()
    assert code == 1
    assert text.splitlines()[0] == "not ready: 1 reason"
    assert "target contoso-key0 is not ready: 3077 ErrorHttpOperationForbidden at unwrap_key (forbidden" in text
    assert "first: ekm-exporter probe contoso-key0 --config.file FILE" in text


async def test_exporter_that_is_off_is_1(night):
    await night.start()
    url = night.service._web.urls[0]
    await night.service.stop()
    assert await night.conditions(url=url) == (1, ["exporter_unreachable"])
    await night.start()


async def test_each_url_is_requested(night):
    """The exporter has another host than N1, so a second one may matter."""
    await night.start()
    url = night.service._web.urls[0]
    file = night.path / "exporters.txt"
    file.write_text(f"# all of them\n{url}\n\nhttp://127.0.0.1:1  # off\n")
    code, text = await night.gate("--urls", str(file), "--json")
    found = json.loads(text)
    assert (code, [one["url"] for one in found["exporters"]]) == (1, [url, "http://127.0.0.1:1"])
    assert [one["condition"] for one in found["reasons"]] == ["exporter_unreachable"]
    assert found["exporters"][0]["instances"] == ["N1\\SQLPRD01"]


async def test_unwrap_lost_since_the_last_round_trip_is_1(night):
    await night.start()
    record = night.service.record_of("contoso-key0")
    assert time.time() - record.unwrapped_at < 2 * PATIENT
    record.unwrapped_at -= 900
    assert await night.conditions() == (1, ["unwrap_old"])
    code, text = await night.gate("--unwrap-age", "6h")
    assert (code, text.splitlines()[0]) == (0, "ready: the vault side of 1 instance, 1 key, 1 database")


async def test_missing_or_damaged_inventory_is_1(night):
    await night.start()
    facts = night.path / "targets.d" / "inventory.json"
    good = facts.read_text()
    for text in ("", "{}", "[]", '{"instances": {"N1": {"inventory": 1}}, "key_uris": [], "names": {}}', "[" * 100_000, "\udc80"):
        facts.write_text(text, errors="surrogateescape")
        assert await night.conditions() == (1, ["inventory_unusable"])
    facts.unlink()
    code, text = await night.gate()
    assert code == 1
    assert f"--out {night.path / 'targets.d'} --config.file FILE" in text
    facts.write_text(good)
    assert await night.conditions() == (0, [])


def usage(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["gate", *arguments])
    return ended.value.code


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--instance", "a", "--all"),
        ("--all", "--for", "an hour"),
        ("--all", "--url", "http://n1:10377", "--url", "n2"),
        ("--all", "--timeout", "0"),
    ],
)
def test_bad_arguments_are_2(arguments):
    assert usage(*arguments) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "--urls: urls.txt: no such file"),
        ("# none\n\n", "--urls: urls.txt: no URL: write one on each line, such as http://localhost:10377"),
        ("http://n1:10377\nn2\n", "--urls: urls.txt, line 2: not an http or https URL"),
    ],
)
def test_unusable_list_of_urls_is_2(content, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "urls.txt").write_bytes(content.encode("latin-1"))
    assert main(["gate", "--all", "--urls", "urls.txt"]) == 2
    assert message in capsys.readouterr().err


def test_password_goes_to_no_url_without_tls(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pw").write_text("a-password")
    (tmp_path / "pw").chmod(0o600)
    flags = ("--url", "https://n1:10377", "--url", "http://n2:10377", "--web.user", "gate", "--web.password.file", "pw")
    assert main(["gate", "--all", *flags]) == 2
    assert "without TLS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--web.user", "gate"), "--web.user and --web.password.file belong together"),
        (("--web.user", "gate", "--web.password.file", "gone"), "gone: no such file"),
        (("--web.user", "a:b", "--web.password.file", "gone"), "--web.user: a user of basic authentication has no colon"),
    ],
)
def test_unusable_credentials_are_2(flags, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["gate", "--all", *flags]) == 2
    assert message in capsys.readouterr().err
