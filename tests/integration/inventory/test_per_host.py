"""`inventory --per-host`: a folder for each host that install-hosts.ps1 takes, and later runs that change only their own files."""

import json

import pytest
import yaml

from exporter.config.load import load_config
from exporter.sqlserver.document import Document, as_json
from tests.support.inventory_command import MARKED, SECRET, InventoryCommand
from tests.support.sql_inventory import altering, reg_query, rows_of, sqlcmd
from tests.support.written import write_private

V1, V2 = ("https://contoso-prod.vault.azure.net/keys/K/" + version for version in ("1111aaaa", "2222bbbb"))


class Hosts(InventoryCommand):
    """Output of the scripts for three hosts, one of them in a cluster, and the command without --out."""

    def __init__(self, path, capsys):
        super().__init__(path, capsys)
        self.folder = path / "hosts"
        self.defaults = {"--from": path / "in", "--per-host": self.folder, "--hosts": path / "hosts.txt"}
        (path / "hosts.txt").write_text("N1\nn2.\n")  # the nodes of the cluster
        (path / "in").mkdir()
        (path / "in" / "keys.txt").write_text(reg_query({"2C56": V1, "2C57": V2}))
        self.read("N1\\A", databases={"sales": "0x2C56", "pay": "0x2C57"})
        self.read("FCI\\P", nodes=("N1", "N2"), vault_credential="other_cred")

    def read(self, server, *, nodes=(), vault_credential=None, **options):
        rows = rows_of(server, **options)
        if nodes:
            altering("instance", node=nodes[0])(rows)
            rows["nodes"] = [{"name": name} for name in nodes]
        if vault_credential:
            rows["credentials"][0]["name"] = rows["keys"][0]["credential"] = vault_credential
        (self.path / "in" / f"{server.replace(chr(92), '_')}.txt").write_text(sqlcmd(rows))

    def supply(self, name, host=""):
        folder = self.folder / host / "secrets"
        folder.mkdir(exist_ok=True)
        write_private(folder / name, SECRET)

    def listed(self):
        lines = (self.folder / "hosts.csv").read_text().splitlines()
        return [line for line in lines if not line.startswith("#")]

    def texts(self):
        return {path: path.read_text() for path in sorted(self.folder.rglob("*")) if path.is_file()}


@pytest.fixture
def hosts(tmp_path, capsys):
    return Hosts(tmp_path, capsys)


def test_each_host_gets_a_configuration_that_check_accepts(hosts):
    output = hosts.run()
    assert hosts.listed() == [
        "host,secrets",
        "n1,contoso-prod-other_cred contoso-prod-tde_cred",
        "n2,contoso-prod-other_cred",
    ]
    assert f"{hosts.folder / 'hosts.csv'}: 2 hosts\n" in output
    assert "contoso-prod-other_cred: the SECRET of CREDENTIAL [other_cred], for 2 hosts: n1, n2\n" in output
    for host, name in (("n1", "contoso-prod-tde_cred"), ("n1", "contoso-prod-other_cred"), ("n2", "contoso-prod-other_cred")):
        hosts.supply(name, host)
    for host, instances in (("n1", {("A", "n1"), ("P", "fci")}), ("n2", {("P", "fci")})):
        loaded = load_config(hosts.folder / host / "ekm.yml")
        assert loaded.problems == ()
        assert loaded.config.settings.vantage == "sql_host"
        found = {(one["sql_instance"], one["host"]) for target in loaded.config.targets.values() for one in target.instances}
        assert found == instances
    assert MARKED not in "".join(text for path, text in hosts.texts().items() if path.parent.name != "secrets")
    assert "Secrets for the hosts" not in hosts.run()


@pytest.mark.parametrize("node", ["evil.attacker.example", "WS-EVIL", "10.9.9.9", "N1"])
def test_host_that_only_a_server_names_gets_no_secret(hosts, node):
    rows = rows_of("N2")
    rows["instance"][0].update(machine=node, node=node, server_name=node)
    (hosts.path / "in").joinpath("evil.json").write_text(json.dumps(as_json(Document(address="n2.contoso.com", sections=rows))))
    output = hosts.run("--hosts", hosts.write("nobody.txt", "n3\n"), code=1)
    assert hosts.listed() == ["host,secrets", "n1,contoso-prod-tde_cred"]
    assert f"read as n2.contoso.com, it names the host {node.lower()}, which you did not" in output
    declared = {"sql_servers": [{"address": "N2.contoso.com", "host": node}]}
    hosts.config.write_text(yaml.safe_dump({"include": ["targets.d/*.yml"], **declared}))
    hosts.run("--hosts", hosts.write("nobody.txt", "n3\n"), "--config.file", hosts.config, code=1)
    assert {row.partition(",")[0] for row in hosts.listed()[1:]} == {"n1", node.lower()}


def test_second_run_changes_nothing_and_a_dry_run_writes_nothing(hosts):
    hosts.run("--dry-run")
    assert hosts.texts() == {}
    hosts.run()
    before = hosts.texts()
    assert "no file changed" in hosts.run()
    assert hosts.texts() == before
    hosts.read("N1\\A", databases={"sales": "0x2C56"})
    output = hosts.run()
    assert f"+++ {hosts.folder / 'n1' / 'targets.d' / 'contoso-prod.yml'}" in output
    assert {path for path, text in hosts.texts().items() if before.get(path) != text} == {
        hosts.folder / "n1" / "targets.d" / "contoso-prod.yml",
        hosts.folder / "inventory.json",
    }


def test_shared_configuration_reaches_each_host_without_credentials_of_others(hosts):
    hosts.run()
    common = hosts.folder / "ekm.yml"
    common.write_text(
        common.read_text() + "# Mine.\ncredentials:\n"
        "  contoso-prod-tde_cred: {type: connector_secret, secret_file: secrets/tde, expires_on: 2027-03-01}\n"
        "  contoso-prod-other_cred: {type: connector_secret, secret_file: secrets/other, expires_on: 2027-04-01}\n"
    )
    hosts.run()
    copied = {host: yaml.safe_load((hosts.folder / host / "ekm.yml").read_text()) for host in ("n1", "n2")}
    assert {host: set(one["credentials"]) for host, one in copied.items()} == {
        "n1": {"contoso-prod-tde_cred", "contoso-prod-other_cred"},
        "n2": {"contoso-prod-other_cred"},
    }
    assert "# Mine." in (hosts.folder / "n1" / "ekm.yml").read_text()
    assert hosts.listed()[1:] == ["n1,other tde", "n2,other"]
    hosts.supply("tde")
    assert "secrets/other: for 2 hosts" in hosts.run()
    for name in ("tde", "other"):
        hosts.supply(name, "n1")
    loaded = load_config(hosts.folder / "n1" / "ekm.yml")
    assert (loaded.problems, loaded.warnings) == ((), ())


def test_edited_files_of_a_host_stay(hosts):
    hosts.run()
    for name in ("n1/ekm.yml", "n1/targets.d/contoso-prod.yml", "hosts.csv"):
        file = hosts.folder / name
        file.write_text(file.read_text() + "# mine\n")
    mine = hosts.texts()
    hosts.read("N1\\A", databases={"sales": "0x2C56"})
    output = hosts.run()
    assert {path for path, text in hosts.texts().items() if mine.get(path) != text} == {hosts.folder / "inventory.json"}
    for name in ("n1/ekm.yml", "n1/targets.d/contoso-prod.yml", "hosts.csv"):
        assert f"{hosts.folder / name} was edited, so it counts as written by hand and was not changed" in output


def test_host_without_sql_server_loses_the_written_files(hosts):
    hosts.run()
    hosts.supply("contoso-prod-other_cred", "n2")
    (hosts.path / "in" / "FCI_P.txt").unlink()
    output = hosts.run("--prune")
    assert [path.relative_to(hosts.folder).as_posix() for path in hosts.texts() if "n2" in path.parts] == [
        "n2/secrets/contoso-prod-other_cred"
    ]
    assert "host n2 has no SQL Server with a key any more" in output
    assert hosts.listed()[1:] == ["n1,contoso-prod-tde_cred"]


def test_unusable_shared_configuration_is_an_error(hosts):
    hosts.run()
    (hosts.folder / "ekm.yml").write_text("include: [targets.d/*.yml]\ncredentials: [\n")
    hosts.run(code=2)
    assert "ekm.yml: not YAML" in hosts.errors
    (hosts.folder / "ekm.yml").write_text("global: {interval: 60s}\n")
    assert "does not include targets.d/*.yml" in hosts.run(code=1)
