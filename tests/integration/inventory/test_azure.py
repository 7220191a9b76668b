"""The command `inventory --azure`: Microsoft's client and real requests against the simulator."""

import json
import os
import sys

import pytest
import yaml

from exporter.config.load import load_config
from exporter.core.values import Facts, Fault
from exporter.inventory import azure
from exporter.inventory.azure import ResourceGraphPage
from exporter.simulator.environment import ALL_OPERATIONS, Key, SimulatedKeyVersion, Vault
from exporter.simulator.faults import Options
from exporter.simulator.simulator import Simulator
from tests.support.inventory_command import InventoryCommand
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import CLIENT, HSM, KEY, MANAGEMENT, OTHER, SECRET, TENANT, VAULT, VERSION, Client
from tests.support.sql_inventory import reg_query, rows_of, sqlcmd
from tests.support.values import replace

LATER = "0123456789abcdef0123456789abcd02"  # the newest version of each key
LISTED = dict.fromkeys((CLIENT,), ALL_OPERATIONS)


class Workspace(InventoryCommand):
    """A simulator, and a configuration that covers a part of its vaults."""

    def __init__(self, folder, simulator, capsys):
        super().__init__(folder, capsys, secret=SECRET)
        self.simulator = simulator
        self.defaults = {"--config.file": self.config}
        self.write("ca.pem", simulator.ca_pem)
        self.write("secret", SECRET)
        self.cover((VAULT, KEY))

    def cover(self, *keys, extra=""):
        targets = "".join(
            f"  - {{name: t{number}, key: 'https://{vault}/keys/{name}/{VERSION}', credential: sql}}\n"
            for number, (vault, name) in enumerate(keys)
        )
        connect_to = "".join(f"      {host}: {address}\n" for host, address in self.simulator.connect_to.items())
        self.config.write_text(
            "global: {interval: 60s, vantage: sql_host}\n"
            f"credentials:\n  sql: {{type: client_secret, tenant_id: {TENANT}, client_id: {CLIENT}, client_secret_file: secret}}\n"
            "  untenanted: {type: client_secret, client_id: " + CLIENT + ", client_secret_file: secret}\n"
            f"modules:\n  default:\n    tls: {{ca_file: ca.pem}}\n    connect_to:\n{connect_to}"
            f"targets:\n{targets}{extra}"
        )

    async def query(self, *flags, code=0, credential="sql"):
        chosen = [] if credential is None else ["--azure.credential", credential]
        return await self.connect("--azure", *chosen, *flags, code=code)

    @property
    def requested_hosts(self):
        return {host for host, _, _ in self.simulator.requests}


@pytest.fixture
async def simulator():
    async with Simulator(small_environment()) as simulator:
        yield simulator


@pytest.fixture
def workspace(tmp_path, simulator, capsys):
    return Workspace(tmp_path, simulator, capsys)


async def test_vaults_without_a_target_are_reported_and_proposed(workspace):
    output = await workspace.query()
    assert "management.azure.com: 2 vaults, 1 Managed HSM, 3 RSA keys, 1 with a target; 0 failures\n" in output
    vaults = output.partition("Vaults without a target:\n")[2].partition("\n\n")[0]
    assert [line.split()[1] for line in vaults.splitlines()] == [HSM, OTHER]
    proposed = yaml.safe_load(output.partition("Proposed targets:\n")[2])
    assert [one["key"] for one in proposed["targets"]] == [f"https://{vault}/keys/{KEY}/{LATER}" for vault in (HSM, OTHER)]
    assert VAULT not in str(proposed)
    assert workspace.errors == ""


async def test_key_without_a_target_gets_the_credential_of_its_vault(workspace, simulator):
    key = Key(
        name="Second", versions=(SimulatedKeyVersion(version=LATER, size=3072), SimulatedKeyVersion(version=VERSION, size=3072))
    )
    curve = Key(name="Curve", versions=(SimulatedKeyVersion(version=LATER, kty="EC"),))
    simulator.state.change_vault(VAULT, lambda vault: replace(vault, keys={**vault.keys, "second": key, "curve": curve}))
    workspace.cover((VAULT, KEY), (OTHER, KEY), (HSM, KEY))
    output = await workspace.query()
    assert f"Keys without a target:\n  - {VAULT} (subscription " in output
    assert "): Second\n" in output
    assert "Curve" not in output
    (proposal,) = yaml.safe_load(output.partition("Proposed targets:\n")[2])["targets"]
    assert proposal == {"name": "contoso-one-Second", "key": f"https://{VAULT}/keys/Second/{VERSION}", "credential": "sql"}


async def test_vault_that_refuses_is_one_line_and_stops_no_other(workspace, simulator):
    simulator.set_fault("role_removed", Options(operation="list"), vault=OTHER)
    output = await workspace.query(code=1)
    (line,) = workspace.errors.splitlines()
    assert line.startswith(f"{OTHER}: not read: HTTP 403 ForbiddenByRbac: ")
    assert line.endswith(
        ": give the identity Key Vault Reader (Managed HSM: Managed HSM Crypto Auditor), or let the vault's firewall admit this host"
    )
    assert f"  - {OTHER} (subscription " in output
    assert "): keys unknown\n" in output
    assert f"  - {HSM} (subscription " in output


PAGE_1, OF_VAULT = f"{MANAGEMENT}: page 1 not read: ", f"{OTHER}: not read: "


@pytest.mark.parametrize(
    ("fault", "place", "begin", "message"),
    [
        ("refused", {"vault": OTHER}, OF_VAULT, "connect refused"),
        ("firewall", {"vault": OTHER}, OF_VAULT, "HTTP 403 ForbiddenByFirewall"),
        ("vault_in_other_tenant", {"vault": OTHER}, OF_VAULT, "no token for untenanted: HTTP 400 invalid_request AADSTS90002"),
        ("foreign_resource", {"vault": OTHER}, OF_VAULT, "resource mismatch"),
        ("resource_graph_denied", {"management": MANAGEMENT}, PAGE_1, "HTTP 403 AccessDenied: The caller may not read"),
        ("resource_graph_throttled", {"management": MANAGEMENT}, PAGE_1, ": wait a minute and run the command again"),
        ("resource_graph_token_refused", {"management": MANAGEMENT}, PAGE_1, "HTTP 401 InvalidAuthenticationTokenAudience"),
        ("html", {"management": MANAGEMENT}, PAGE_1, "answer not json"),
        ("secret_expired", {"application": CLIENT}, f"{MANAGEMENT}: no token for sql: ", "HTTP 401 invalid_client AADSTS7000222"),
    ],
)
async def test_what_cannot_be_read_is_one_line(workspace, simulator, *, fault, place, begin, message):
    simulator.set_fault(fault, place.get("options"), **{name: value for name, value in place.items() if name != "options"})
    workspace.cover((VAULT, KEY))
    untenanted = fault == "vault_in_other_tenant"
    flags = ("--azure.tenant", TENANT) if untenanted else ()
    await workspace.query(*flags, code=1, credential="untenanted" if untenanted else "sql")
    (line,) = [each for each in workspace.errors.splitlines() if "vault" not in place or each.startswith(begin)]
    assert line.startswith(begin)
    assert message in line
    assert "application" not in place or MANAGEMENT not in workspace.requested_hosts


@pytest.mark.parametrize("fault", ["resource_graph_empty", "azure_role_removed"])
async def test_empty_answer_is_never_all_covered(workspace, simulator, fault):
    simulator.set_fault(fault, **({"management": MANAGEMENT} if fault == "resource_graph_empty" else {"application": CLIENT}))
    output = await workspace.query(code=1)
    assert workspace.errors.startswith("Resource Graph shows no vault to this identity: it lacks the role Reader")
    assert output == "management.azure.com: 0 vaults, 0 Managed HSMs, 0 RSA keys, 0 with a target; 0 failures\n"


async def test_1200_vaults_are_read_in_pages(workspace, simulator, monkeypatch):
    async def read_no_keys(*_):
        pass

    monkeypatch.setattr(azure._AzureReader, "read_keys", read_no_keys)
    environment = simulator.state.environment
    many = {
        host: Vault(host=host, tenant_id=TENANT, permissions=LISTED)
        for host in (f"vault-{number:04}.vault.azure.net" for number in range(1200))
    }
    simulator.state.environment = replace(environment, vaults={**many, **environment.vaults})
    output = await workspace.query()
    assert "management.azure.com: 1,202 vaults, 1 Managed HSM, 0 RSA keys, 0 with a target; 0 failures\n" in output
    assert simulator.requests[MANAGEMENT, "resource_graph", 200] == 2


@pytest.mark.parametrize(
    ("host", "entra", "management"),
    [
        ("agency.vault.usgovcloudapi.net", "login.microsoftonline.us", "management.usgovcloudapi.net"),
        ("contoso.vault.azure.cn", "login.partner.microsoftonline.cn", "management.chinacloudapi.cn"),
    ],
)
async def test_other_clouds_have_their_own_hosts(tmp_path, capsys, host, entra, management):
    environment = small_environment()
    vault = replace(environment.vaults[VAULT], host=host, authority=entra)
    async with Simulator(replace(environment, vaults={host: vault}, authorities=frozenset({entra}))) as simulator:
        workspace = Workspace(tmp_path, simulator, capsys)
        workspace.cover((host, KEY))
        assert await workspace.query() == f"{management}: 1 vault, 0 Managed HSMs, 1 RSA key, 1 with a target; 0 failures\n"
        assert workspace.requested_hosts == {management, entra, host}


ROW = {"uri": f"https://{VAULT}/", "subscriptionId": TENANT, "location": "westeurope"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"data": [ROW], "totalRecords": 3, "resultTruncated": "true"}, "Resource Graph listed 1 of 3 vaults"),
        ({"data": [ROW], "totalRecords": 2, "resultTruncated": "false"}, "Resource Graph listed 1 of 2 vaults"),
        ({"data": [ROW], "totalRecords": 9, "resultTruncated": "true", "$skipToken": "same"}, "Resource Graph listed 2 of 9 vaults"),
        ({"data": [ROW, {"uri": "https://evil.example/"}], "totalRecords": 2, "resultTruncated": "false"}, "entries that name no vault of the cloud public: 1"),
        ({"data": {"rows": []}, "totalRecords": 1, "resultTruncated": "false"}, "page 1 not read: answer not json"),
    ],
)  # fmt: skip
async def test_incomplete_list_is_a_failure(workspace, simulator, answer, message):
    body = json.dumps({"count": 1, "facets": []} | answer)
    simulator.set_fault("status", Options(status=200, body=body), management=MANAGEMENT)
    await workspace.query(code=1)
    (line,) = workspace.errors.splitlines()
    assert line.startswith(f"{MANAGEMENT}: ")
    assert message in line
    assert "evil.example" not in workspace.requested_hosts


@pytest.mark.parametrize(
    ("endless", "message"),
    [(False, "more than 10,000 subscriptions: name some"), (True, "more than 200 pages: name some subscriptions")],
)
async def test_limits_of_the_list_are_failures(workspace, monkeypatch, endless, message):
    async def vaults(_session, _token, _subscriptions, skip_token, *, deadline):
        assert deadline > 0
        following = str(int(skip_token or 0) + 1) if endless else None
        return Facts(fault=Fault.NONE, status=200), ResourceGraphPage(
            rows=[ROW], total=1, skip_token=following, limit_hit=not endless
        )

    monkeypatch.setattr(azure.ResourceGraphSession, "vaults", vaults)
    await workspace.query(code=1)
    (line,) = workspace.errors.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("_MOST_VAULTS", 1, "management.azure.com: more than 1 vaults: name some subscriptions with --azure.subscription"),
        ("_LIST_SECONDS", 0, "management.azure.com: not read: not read to the end within 0 s: run the command again"),
        ("_VAULT_SECONDS", 0, f"{VAULT}: not read: not read to the end within 0 s: run the command again"),
    ],
)
async def test_azure_without_end_is_a_failure(workspace, monkeypatch, limit, value, message):
    monkeypatch.setattr(azure, limit, value)
    await workspace.query(code=1)
    assert message in workspace.errors


async def test_subscriptions_limit_the_list(workspace, simulator):
    mine = simulator.state.environment.vaults[VAULT].subscription_id
    assert ": 2 vaults, 1 Managed HSM" in await workspace.query("--azure.subscription", mine)
    other = "00000000-0000-0000-0000-000000000000"
    assert ": 0 vaults" in await workspace.query("--azure.subscription", other, code=1)
    await workspace.query("--azure.subscription", "contoso", code=2)
    assert "--azure.subscription: expected its GUID" in workspace.errors


async def test_tokens_go_to_their_resources_only(workspace, simulator):
    await workspace.query()
    assert workspace.requested_hosts == {MANAGEMENT, "login.microsoftonline.com", VAULT, OTHER, HSM}
    tokens = {(host, status): count for (host, operation, status), count in simulator.requests.items() if operation == "token"}
    assert tokens == {("login.microsoftonline.com", 200): 3}  # management, vaults, HSM
    assert not [key for key in simulator.requests if key[2] == 401 and key[1] != "challenge"]


async def test_default_chain_reads_with_the_identity_of_the_host(workspace, simulator, monkeypatch):
    simulator.state.environment = replace(simulator.state.environment, host_identity=CLIENT)
    monkeypatch.setenv("IDENTITY_ENDPOINT", simulator.identity_url)
    monkeypatch.setenv("IDENTITY_HEADER", "any")
    assert ": 2 vaults, 1 Managed HSM, 3 RSA keys, 1 with a target" in await workspace.query(credential=None)


AZ = """\
#!{python}
import json, pathlib, sys
scope = next(word for word in sys.argv if word.startswith("https://")).removesuffix("/.default")
tokens = json.loads((pathlib.Path(__file__).parent / "tokens.json").read_text())
print(json.dumps({{"accessToken": tokens[scope], "expires_on": 4102444800, "tokenType": "Bearer"}}))
"""


async def test_default_chain_reads_with_az_login(workspace, simulator, tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    async with Client(simulator) as client:
        resources = (f"https://{MANAGEMENT}", "https://vault.azure.net", "https://managedhsm.azure.net")
        tokens = {resource: await client.token(resource=resource) for resource in resources}
    (folder / "tokens.json").write_text(json.dumps(tokens))
    (folder / "az").write_text(AZ.format(python=sys.executable))
    (folder / "az").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    assert ": 2 vaults, 1 Managed HSM, 3 RSA keys, 1 with a target" in await workspace.query(credential=None)


async def test_proposals_are_written_shown_and_kept_up_to_date(workspace):
    file = workspace.path / "azure.yml"
    assert "Proposed targets" not in await workspace.query("--azure.out", file, "--dry-run")
    assert not file.exists()
    output = await workspace.query("--azure.out", file, "--secrets", "secrets")
    assert f"+    key: https://{OTHER}/keys/{KEY}/{LATER}\n" in output
    assert "+++" not in await workspace.query("--azure.out", file, "--secrets", "secrets")

    workspace.cover((VAULT, KEY), (OTHER, KEY))
    assert f"-    key: https://{OTHER}/keys/{KEY}/{LATER}\n" in await workspace.query("--azure.out", file, "--secrets", "secrets")
    workspace.cover((VAULT, KEY), (OTHER, KEY), (HSM, KEY))
    await workspace.query("--azure.out", file)
    assert not file.exists()


async def test_written_proposals_are_accepted_by_check(workspace):
    file = workspace.path / "azure.yml"
    await workspace.query("--azure.out", file, "--secrets", "secrets")
    (workspace.path / "secrets").mkdir()
    for credential in yaml.safe_load(file.read_text())["credentials"].values():
        secret = workspace.path / credential["secret_file"]
        secret.touch(mode=0o600)
        secret.write_text(CLIENT.replace("-", "") + SECRET)
    config = workspace.config
    config.write_text(config.read_text() + "include: [azure.yml]\n")
    assert load_config(config).problems == ()
    # Its own proposals do not count as targets.
    assert f"Vaults without a target:\n  - {HSM}" in await workspace.query("--azure.out", file, "--secrets", "secrets")


async def test_failure_keeps_the_proposals_of_an_earlier_run(workspace, simulator):
    file = workspace.path / "azure.yml"
    await workspace.query("--azure.out", file)
    before = file.read_text()
    simulator.set_fault("firewall", vault=OTHER)
    assert f"{file}: not changed, because something was not read\n" in await workspace.query("--azure.out", file, code=1)
    assert file.read_text() == before


async def test_file_of_another_origin_is_not_replaced(workspace):
    file = workspace.path / "azure.yml"
    await workspace.query("--azure.out", file)
    file.write_text(file.read_text() + "# mine\n")
    await workspace.query("--azure.out", file, code=2)
    assert "it was edited or is another file: rename it" in workspace.errors
    out = workspace.out
    await workspace.query("--azure.out", out / "azure.yml", "--out", out, code=2)
    assert "choose a file outside of" in workspace.errors


async def test_targets_of_sql_servers_in_the_same_run_are_covered(workspace):
    folder = workspace.path
    (folder / "n1.txt").write_text(sqlcmd(rows_of("N1", vault="contoso-two", databases={"sales": "0x2C56"})))
    (folder / "keys.txt").write_text(reg_query({"2C56": f"https://{OTHER}/keys/{KEY}/{VERSION}"}))
    config = folder / "ekm.yml"
    config.write_text(config.read_text() + "include: [targets.d/*.yml]\n")
    sources = ("--from", folder / "n1.txt", folder / "keys.txt", "--out", folder / "targets.d")
    output = await workspace.query(*sources, "--dry-run")
    assert "1 instance read, 0 failures; 1 target; 1 file would change" in output
    assert ", 3 RSA keys, 2 with a target; 0 failures\n" in output
    assert not (folder / "targets.d").exists()
    assert ", 3 RSA keys, 2 with a target; 0 failures\n" in await workspace.query(*sources)
    assert ", 3 RSA keys, 2 with a target; 0 failures\n" in await workspace.query("--out", folder / "targets.d")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--azure.credential", "none"), "--config.file declares no credential none"),
        (("--azure.credential", "untenanted"), "has no tenant_id: add --azure.tenant"),
        (("--azure.tenant", "contoso.example"), "this identity has its own tenant: use az login --tenant"),
        (("--azure.credential", "sql", "--azure.tenant", "x y"), "--azure.tenant: expected its GUID"),
    ],
)
async def test_bad_arguments_are_one_line(workspace, flags, message):
    await workspace.query(*flags, code=2, credential=None)
    assert message in workspace.errors


async def test_targets_in_several_clouds_need_a_flag(workspace):
    workspace.cover((VAULT, KEY), ("a.vault.azure.cn", KEY))
    await workspace.query(code=2)
    assert "the targets are in several clouds: name one with --azure.cloud" in workspace.errors
    assert ", 1 with a target" in await workspace.query("--azure.cloud", "public")


async def test_unreadable_configuration_is_no_empty_coverage(workspace):
    config = workspace.config
    config.write_text(config.read_text() + "include: [missing.yml]\n")
    await workspace.query(code=2)
    assert "correct it, because its targets are unknown" in workspace.errors


async def test_missing_extra_is_one_line(workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "azure.mgmt.resourcegraph.aio", None)
    await workspace.query(code=2)
    assert (
        workspace.errors
        == f'ekm-exporter inventory: this command needs an optional library: {sys.executable} -m pip install "ekm-exporter[azure]"\n'
    )
