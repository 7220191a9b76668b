"""`ekm-exporter doctor` as a process: exit codes, output, wrong arguments."""

import asyncio
import json
import os
import sys

import pytest

from exporter.cli.main import main
from exporter.presentation.diagnosis import NO_FAILURE
from tests.support.doctor_simulated import CLIENT, KEY, OLD, PINNED, SECRET, TENANT, VAULT
from tests.support.patience import PATIENCE, without_slow_steps

TYPED = CLIENT.replace("-", "") + SECRET


@pytest.fixture
def config(harness):
    path = harness.folder / "ekm.yml"
    common = {"tenant_id": TENANT, "client_id": CLIENT, "expires_on": "2099-01-01"}
    (harness.folder / "next").write_text("MARKED~not-yet-known")
    (harness.folder / "next").chmod(0o600)
    document = {
        "global": {"connector_generation": "classic"},
        "credentials": {
            "sql-prod": {"type": "client_secret", "client_secret_file": "sql-prod", **common},
            "sql-next": {"type": "client_secret", "client_secret_file": "next", **common},
        },
        "modules": {"default": {"tls": {"ca_file": "ca.pem"}, "connect_to": harness.simulator.connect_to}},
        "targets": [{"name": "contoso-key0", "vault": "contoso-prod", "key": f"{KEY}/{PINNED}", "credential": "sql-prod"}],
    }
    path.write_text(json.dumps(document))
    return path


async def run(*arguments):
    """Exit code, output, errors of a process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-m", "exporter", "doctor", *map(str, arguments)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    for text in (out.decode(), err.decode()):
        assert "MARKED" not in text
        assert "eyJ" not in text
    return process.returncode, out.decode(), "".join(without_slow_steps(err.decode().splitlines(keepends=True)))


@pytest.fixture
def as_json(capsys):
    """Exit code and document of a run in this process: the start of another one takes a second of a processor."""

    async def run_here(*arguments):
        code = await asyncio.to_thread(main, ["doctor", *map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        for text in (out, err):
            assert "MARKED" not in text
            assert "eyJ" not in text
        return code, json.loads(out)

    return run_here


@pytest.mark.parametrize("flags", [(), ("--verbose",)])
async def test_healthy_target_exits_0_and_shows_what_passed_on_request(config, flags):
    code, out, err = await run("contoso-key0", "--config.file", config, *flags)
    assert (code, err) == (0, "")
    assert out.startswith("target      contoso-key0\nvault       contoso-prod.vault.azure.net\n")
    assert ("\npass    Round trip                  the bytes came back equal\n" in out) is bool(flags)


async def test_other_credential_and_key_are_checked_on_request(config, as_json):
    code, shown = await as_json("contoso-key0", "--config.file", config, "--credential", "sql-next")
    token = next(check for check in shown["checks"] if check["check"] == "token")
    assert (code, token["code"], shown["credential"]) == (1, 3303, "sql-next")
    code, shown = await as_json("contoso-key0", "--config.file", config, "--key", f"{KEY}/{OLD}")
    outcomes = {check["check"]: check["outcome"] for check in shown["checks"]}
    assert (code, outcomes["key_version"], outcomes["newest_version"]) == (0, "pass", "warn")


async def test_ticket_is_printed_alone(config, capsys):
    arguments = ["doctor", "contoso-key0", "--config.file", str(config), "--credential", "sql-next"]
    assert await asyncio.to_thread(main, [*arguments, "--ticket"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("To: the identity team (Entra ID)\nSubject: application ")
    assert "  resolves to     " in out
    assert f"az ad app credential reset --id {CLIENT} --append" in out
    assert err == ""
    assert "MARKED" not in out
    assert await asyncio.to_thread(main, arguments) == 1
    assert "ticket          --ticket prints the text for the identity team (Entra ID)\n" in capsys.readouterr().out
    assert await asyncio.to_thread(main, [*arguments[:-2], "--ticket"]) == 0
    assert tuple(capsys.readouterr()) == ("", f"ekm-exporter: no ticket: {NO_FAILURE}\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--vault, --key and --connector-secret-file"),
        (["--vault", "contoso"], "--vault, --key and --connector-secret-file"),
        (["--key", "K/v", "--connector-secret-file", "TYPED"], "--key names no vault: add --vault"),
        (["--vault", "contoso", "--key", f"https://dr.vault.azure.net/keys/{KEY}/v", "--connector-secret-file", "TYPED"], "but --vault is contoso"),
        (
            ["contoso-key0", "--config.file", "CONFIG", "--key", f"https://dr.vault.azure.net/keys/{KEY}/v"],
            f"--key names the vault dr.vault.azure.net, but the target's vault is {VAULT}: correct one",
        ),
        (["t"], "--config.file"),
        (["--config.file", "CONFIG"], "name a TARGET"),
        (["contoso-key0", "--config.file", "CONFIG", "--vault", "contoso"], "without --config.file"),
        (["contoso-key0", "--config.file", "CONFIG", "--tenant", TENANT], "without --config.file"),
        (["contoso-key", "--config.file", "CONFIG"], "did you mean 'contoso-key0'?"),
        (["contoso-key0", "--config.file", "CONFIG", "--credential", "sql-pro"], "did you mean 'sql-prod'?"),
        (["contoso-key0", "--config.file", "CONFIG", "--key", "https://contoso/keys/K/v"], "NAME/VERSION"),
        (["contoso-key0", "--config.file", "nowhere.yml"], "nowhere.yml"),
        (["--vault", "not a vault", "--key", "K", "--connector-secret-file", "TYPED"], "--vault: a vault name has"),
        (["--vault", "contoso", "--key", "K/", "--connector-secret-file", "TYPED"], "--key: expected NAME/VERSION"),
        (["--vault", "contoso", "--key", "K", "--connector-secret-file", "nowhere"], "--connector-secret-file"),
        (["--vault", "contoso", "--key", "K", "--connector-secret-file", "TYPED", "--tenant", "a b"], "--tenant: expected its GUID"),
        (["--vault", "contoso", "--key", "K", "--connector-secret-file", "TYPED", "--credential", "c"], "--credential"),
    ],
)  # fmt: skip
def test_bad_usage_exits_2_with_the_reason(config, capsys, arguments, expected):
    typed = config.parent / "typed"
    typed.write_text(TYPED)
    filled = [{"CONFIG": str(config), "TYPED": str(typed)}.get(word, word) for word in arguments]
    assert main(["doctor", *filled]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert "MARKED" not in err


def test_help_has_no_secret_argument(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--help"])
    assert ended.value.code == 0
    result = capsys.readouterr().out
    assert "--connector-secret-file" in result
    assert "--connector-secret " not in result
    assert "example" in result
