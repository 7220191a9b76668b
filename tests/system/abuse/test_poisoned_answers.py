"""A hostile server or a password chooses what counts as a secret; other targets are read, compared and shown as before."""

import json
import re
from contextlib import asynccontextmanager

import pytest

from exporter.core.secrets import KNOWN_SECRETS
from tests.support.running import answering
from tests.support.tls_server import ENTRA, TENANT, TOKEN, Authority, FakeVault, Wire, response
from tests.support.web_server import get
from tests.support.written import written

DOMAIN = "vault.azure.net"
HOSTILE, GOOD = f"hostile-10.{DOMAIN}", f"contoso-11.{DOMAIN}"
NAME = "payroll-target-of-contoso"
VERSION = "0123456789abcdef0123456789abcdef"
FORBIDDEN = "Caller is not authorized to perform action on resource."


class TwoVaults(FakeVault):
    """Two vaults and their tenants. The one in tenant 10 grants a token of its choice; the other one grants a real token."""

    def __init__(self, granted):
        super().__init__()
        self.granted, self.refused = granted, False

    def __call__(self, request):
        host = request.headers["host"]
        if host == ENTRA:
            token = self.granted if "/00000010-" in request.path else TOKEN
            return response(200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"})
        if "authorization" not in request.headers:
            number = int(re.search(r"\d+", host)[0])
            tenant = f"{number:08}{TENANT[8:]}"
            challenge = f'Bearer authorization="https://{ENTRA}/{tenant}", resource="https://{DOMAIN}"'
            return response(401, WWW_Authenticate=challenge, x_ms_request_id="request-of-the-challenge")
        if host == GOOD and self.refused:
            inner = {"code": "ForbiddenByRbac"}
            return response(403, {"error": {"code": "Forbidden", "message": FORBIDDEN, "innererror": inner}})
        return super().__call__(request)

    @property
    def kid(self):
        return f"https://{GOOD}/keys/{self.name}/{self.version}"


POISONS = {
    "domain of all vaults": DOMAIN,
    "host of the other vault": GOOD,
    "name of the other vault": "contoso-11",
    "key version of the other target": VERSION,
    "name of the other target": NAME,
    "authority": ENTRA,
    "service code": "ForbiddenByRbac",
    "sentence of the other vault": FORBIDDEN.replace(" ", "").rstrip("."),
    "sentence and more": FORBIDDEN.replace(" ", "").rstrip(".") + "Q7" * 80,
    "state and reason": "forbidden_rbac",
    "one letter": "a",
    "empty": "",
}  # fmt: skip


@asynccontextmanager
async def exporting(folder, vault, password):
    """A session with an exporter that has a target at each vault."""
    authority = Authority(folder)
    wire = await Wire(context=authority.server(HOSTILE, GOOD, ENTRA), answer=vault).start()
    credential = {"type": "client_secret", "client_id": TENANT, "client_secret_file": "secret", "expires_on": "2099-01-01"}
    document = {
        "credentials": {"hostile": credential, "sql": credential},
        "modules": {
            "default": {
                "tls": {"ca_file": str(authority.file)},
                "connect_to": {f"{each}:443": f"127.0.0.1:{wire.port}" for each in (HOSTILE, GOOD, ENTRA)},
            },
            "proxied": {"proxy": {"url": "http://proxy.corp.example:3128", "username": "u", "password_file": "password"}},
        },
        "targets": [
            {"name": "hostile", "vault": HOSTILE, "key": f"Key0/{VERSION}", "credential": "hostile"},
            {"name": NAME, "vault": GOOD, "key": f"Key0/{VERSION}", "credential": "sql"},
        ],
    }
    config = written(folder, document, secret="a-real-secret-of-9-words", password=password)
    try:
        async with answering(config, state_dir=folder / "state") as (_, session):
            yield session
    finally:
        await wire.stop()


SERIES = re.compile(r"ekm_(probe_success|vault_side_ready|last_failure_info|key_info|vault_info|tls_certificate)")
FIELDS = ("step", "outcome", "code", "reason", "service_code", "inner_code", "detail", "request_id")


async def shown(session, target):
    """What the first probe of a target shows, without what is measured."""
    metrics = (await get(session, f"/probe?target={target}"))[2]
    document = json.loads((await get(session, f"/api/v1/targets/{target}"))[2])
    steps = [{name: step[name] for name in FIELDS} for step in document["history"][0]["steps"]]
    page = (await get(session, f"/targets/{target}"))[2]
    return (
        [line for line in metrics.splitlines() if SERIES.match(line)],
        steps,
        document["key_version"],
        page.count("&lt;secret&gt;"),
    )


async def after_poison(folder, granted, *, refused, password="a-password-of-9-words"):  # noqa: S107 - of a proxy that is not there
    """What both targets show if the hostile one grants this token and is probed first."""
    vault = TwoVaults(granted)
    vault.refused = refused
    async with exporting(folder, vault, password) as session:
        hostile = await shown(session, "hostile")
        return hostile, await shown(session, NAME)


EXPECTED = {}  # what the good target shows if no server is hostile, by whether its vault refuses the caller


@pytest.fixture(params=[False, True], ids=["ready", "refused"])
async def fair(request, tmp_path_factory):
    """Whether the good vault refuses its caller, and what its target then shows if no server is hostile."""
    if request.param not in EXPECTED:
        made = await after_poison(tmp_path_factory.mktemp("fair"), "eyJ0eXAi" + "x9Y" * 40, refused=request.param)
        EXPECTED[request.param] = made[1]
        KNOWN_SECRETS.__init__()
    return request.param, EXPECTED[request.param]


@pytest.mark.parametrize("poison", POISONS)
async def test_token_of_another_server_changes_no_target(poison, fair, tmp_path, caplog):
    refused, expected = fair
    (series, steps, _, _), good = await after_poison(tmp_path, POISONS[poison], refused=refused)
    assert good == expected
    assert expected[1][-1 if not refused else 2]["code"] == (3077 if refused else None)
    assert steps[0]["outcome"] == "ok"
    assert {step["code"] for step in steps} - {None} == ({3308} if not POISONS[poison] else {3010})
    assert f'vault="{HOSTILE}"' in series[0]
    assert "secret>" not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize(
    "password", [DOMAIN, GOOD, "contoso-11", VERSION, NAME, "proxy.corp.example", "ErrorHttpOperationForbidden"]
)
async def test_password_that_is_a_name_changes_no_target(password, fair, tmp_path):
    refused, expected = fair
    _, good = await after_poison(tmp_path, "eyJ0eXAi" + "x9Y" * 40, refused=refused, password=password)
    assert good == expected
