"""The facts of a failure are the same on the command line, behind `debug=true` and in the log."""

import asyncio
import json
import re

import pytest

from exporter.cli.main import main
from exporter.config.load import load_config
from exporter.simulator.build import build_environment, write_config
from exporter.simulator.simulator import Simulator
from tests.support.patience import PATIENCE

KEY = "TdeKey/4f1c8e2a9b7d4036a5e1c7f20b9d8346"


FIELDS = ("step", "code", "reason", "phase", "status", "service", "inner", "aadsts", "retry_after")
IN_JSON = {
    "phase": "phase_reached", "status": "http_status", "service": "service_code", "inner": "inner_code",
    "retry_after": "retry_after_seconds",
}  # fmt: skip
IN_LOG = {"service": "service_code", "inner": "inner_code"}


def reported(**facts):
    """The facts of a failure; None means that the fact is absent."""
    return dict.fromkeys(FIELDS) | facts


REPORTED = {
    "throttled_retry_after": reported(
        step="get_key", code=3011, reason="throttled", phase="transfer", status=429, service="Throttled", retry_after=7
    ),
    "firewall": reported(
        step="get_key", code=3077, reason="forbidden_firewall", phase="transfer", status=403, service="Forbidden",
        inner="ForbiddenByFirewall",
    ),
    "secret_expired": reported(
        step="token", code=3303, reason="secret_expired", phase="transfer", status=401, service="invalid_client", aadsts=7000222
    ),
    "key_silent": reported(step="get_key", code=3008, reason="read_timeout", phase="wait"),
    "vault_tls_untrusted": reported(step="challenge", code=3008, reason="tls_untrusted", phase="tls"),
}  # fmt: skip


def target_of(scenario):
    return scenario.replace("_", "-")


def source():
    """A configuration with a target, a vault and a credential for each scenario, so that all can fail at once."""
    names = [target_of(scenario) for scenario in REPORTED]
    return {
        "global": {"interval": "8s", "timeout": "4s", "min_interval": "1s"},
        "credentials": {
            name: {
                "type": "client_secret", "tenant_id": f"11111111-2222-3333-4444-{number:012}",
                "client_id": f"66666666-7777-8888-9999-{number:012}", "client_secret_file": "secret",
            }
            for number, name in enumerate(names)
        },
        "targets": [{"name": name, "vault": f"vault-{number}", "key": KEY, "credential": name} for number, name in enumerate(names)],
    }  # fmt: skip


@pytest.fixture
def source_file(tmp_path):
    path = tmp_path / "source.yml"
    path.write_text(json.dumps(source()))
    (tmp_path / "secret").write_text("MARKED~facts\n")
    (tmp_path / "secret").chmod(0o600)
    return path


def facts_in(found, names):
    """The facts under these names where they differ, and the id of the request."""
    return {field: found.get(names.get(field, field)) for field in FIELDS}, found.get("request_id")


def of_transcript(text):
    """The first failed step of a transcript."""
    step, block = re.search(r"^(\w+) +failed.*\n((?:  .*\n)+)", text, re.MULTILINE).groups()
    output = dict(re.findall(r"^  (.{13}) (.*)$", block, re.MULTILINE))
    output = {label.strip(): value for label, value in output.items()}
    status, entra, after = output.get("HTTP status"), output.get("Entra error"), output.get("retry after")
    return reported(
        step=step, code=int(output["code"].split()[0]), reason=output["reason"], phase=output["phase reached"],
        status=None if status is None else int(status), service=output.get("service code"), inner=output.get("inner code"),
        aadsts=None if entra is None else int(entra.removeprefix("AADSTS")),
        retry_after=None if after is None else float(after.removesuffix(" s")),
    ), output.get("request id")  # fmt: skip


def failure_in(running, target):
    """The log line of the failure of a target; None if there is none yet."""
    lines = [json.loads(line) for line in running.err + running.out if line.startswith("{")]
    return next((line for line in lines if line.get("target") == target and "reason" in line), None)


@pytest.fixture
async def config(source_file, tmp_path):
    """The configuration of an exporter whose vaults fail."""
    source = load_config(source_file).config
    async with Simulator(build_environment(source)) as simulator:
        for number, scenario in enumerate(REPORTED):
            simulator.apply(scenario, vault=f"vault-{number}")
        yield write_config(simulator, source, tmp_path / "sim")


async def test_command_page_and_log_show_the_same_facts(command, config, get, capsys):
    address = ("--web.listen-address", "127.0.0.1:0", "--log.format", "json")
    running = await command("run", "--config.file", config, *address)
    url = json.loads((await running.output(r"(\{.*listening.*\})"))[1])["url"]
    one = asyncio.Lock()  # one command at a time prints

    async def reported_of(scenario):
        """The facts that the command, the page and the log show."""
        target = target_of(scenario)
        async with one:
            assert await asyncio.to_thread(main, ["probe", target, "--json", "--config.file", str(config)]) == 1
            requested = json.loads(capsys.readouterr().out)
        async with asyncio.timeout(PATIENCE):
            while (line := failure_in(running, target)) is None:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.1)
        _, page = await get(f"{url}/probe?target={target}&debug=true")
        step = next(each for each in requested["steps"] if each["outcome"] == "failed")
        return [facts_in(step, IN_JSON), of_transcript(page), facts_in(line, IN_LOG)]

    everything = dict(zip(REPORTED, await asyncio.gather(*map(reported_of, REPORTED)), strict=True))
    await running.stop()
    assert {scenario: [facts for facts, _ in shown] for scenario, shown in everything.items()} == {
        scenario: [facts] * 3 for scenario, facts in REPORTED.items()
    }
    for scenario, shown in everything.items():
        assert all((request_id is not None) is (REPORTED[scenario]["status"] is not None) for _, request_id in shown), scenario
