"""The command `inventory`: 300 instances, later runs, hand-written files, and unreadable input."""

import pytest

from exporter.inventory.plan import make_plan
from tests.support.inventory_command import MARKED, InventoryCommand
from tests.support.sql_inventory import reg_query, rows_of, sqlcmd

V1, V2 = ("https://contoso-prod.vault.azure.net/keys/K/" + version for version in ("1111aaaa", "2222bbbb"))


class Workspace(InventoryCommand):
    """A folder with sources, and the command."""

    def __init__(self, path, capsys):
        super().__init__(path, capsys)
        self.defaults = {"--from": path / "in"} | self.defaults
        (path / "in").mkdir()
        self.source("keys.txt", reg_query({"2C56": V1, "2C57": V2}))

    def source(self, name, text):
        (self.path / "in" / name).write_text(text, encoding="utf-8")


@pytest.fixture
def workspace(tmp_path, capsys):
    return Workspace(tmp_path, capsys)


def test_keys_of_another_store_and_a_witness_are_no_gap(workspace):
    rows = rows_of(ag="AG7")
    rows["providers"].append({"name": "CryptoServer", "dll_path": r"C:\Utimaco\cssqlekm.dll", "is_enabled": 1})
    rows["credentials"].append({"name": "hsm", "identity": "hsm-user", "provider": "CryptoServer"})
    rows["keys"].append({"name": "hsm", "thumbprint": "0x77", "public_key": "0x77", "provider": "CryptoServer"})
    rows["encryption"].append({"database": "hr", "encryption_state": 3, "encryptor_type": "ASYMMETRIC KEY", "thumbprint": "0x77"})
    rows["replicas"].append({"ag": "AG7", "server_name": "W1\\SQLEXPRESS", "mode": "CONFIGURATION_ONLY"})
    workspace.source("n1.txt", sqlcmd(rows))
    output = workspace.run()
    assert "provider [CryptoServer] is not of Azure Key Vault, so its keys (1) are not probed" in output
    assert [target["name"] for target in workspace.targets("contoso-prod")] == ["contoso-prod-K"]


def test_moved_database_is_a_diff(workspace):
    workspace.source("n1.txt", sqlcmd(rows_of("N1", databases={"sales": "0x2C56"})))
    workspace.run()
    workspace.source("n1.txt", sqlcmd(rows_of("N1", databases={"sales": "0x2C57"})))
    output = workspace.run("--dry-run")
    assert "-    key: https://contoso-prod.vault.azure.net/keys/K/1111aaaa" in output
    assert "+    key: https://contoso-prod.vault.azure.net/keys/K/2222bbbb" in output
    assert "1 file would change" in output
    assert workspace.targets("contoso-prod")[0]["key"] == V1
    workspace.run()
    assert workspace.targets("contoso-prod")[0]["key"] == V2


def test_instance_that_is_not_read_keeps_its_targets(workspace):
    for name in ("N1", "N2"):
        workspace.source(f"{name}.txt", sqlcmd(rows_of(name)))
    workspace.run()
    workspace.source("N2.txt", "Sqlcmd: Error: Login failed for user 'x'.")
    output = workspace.run(code=1)
    assert "kept as last read: N2 (2026-11-26T20:00:00Z)" in output
    assert workspace.errors == f"{workspace.path / 'in' / 'N2.txt'}: not read: Sqlcmd: Error: Login failed for user 'x'.\n"
    assert [one["host"] for one in workspace.targets("contoso-prod")[0]["instances"]] == ["n1", "n2"]
    workspace.run("--prune", code=1)
    assert [one["host"] for one in workspace.targets("contoso-prod")[0]["instances"]] == ["n1"]


def test_file_without_targets_is_removed(workspace):
    workspace.source("n1.txt", sqlcmd(rows_of("N1")))
    workspace.run()
    workspace.source("n1.txt", sqlcmd(rows_of("N1", databases={})))
    assert "+++ /dev/null" in workspace.run()
    assert list((workspace.out).glob("*.yml")) == []


def test_hand_written_files_stay(workspace):
    folder = workspace.out
    folder.mkdir()
    mine = "targets:\n  - {name: mine, vault: other, key: K/v1, credential: c}\n"
    (folder / "contoso-prod.yml").write_text(mine)
    workspace.source("n1.txt", sqlcmd(rows_of("N1")))
    workspace.run()
    assert (folder / "contoso-prod.yml").read_text() == mine
    assert workspace.targets("contoso-prod.inventory")[0]["name"] == "contoso-prod-K"


def test_edited_file_is_not_overwritten(workspace):
    workspace.source("n1.txt", sqlcmd(rows_of("N1")))
    workspace.run()
    file = workspace.out / "contoso-prod.yml"
    edited = file.read_text() + "# mine\n"
    file.write_text(edited)
    output = workspace.run(code=1)
    assert file.read_text() == edited
    assert f"{file} was edited, so it counts as written by hand" in output


def test_lost_facts_are_an_error(workspace):
    workspace.source("n1.txt", sqlcmd(rows_of("N1")))
    workspace.run()
    facts = workspace.out / "inventory.json"
    whole = facts.read_text()
    for text in ("{}", "[" * 100_000, whole.replace('"inventory": 1', '"inventory": 2'), whole.replace('"instance"', '"other"')):
        facts.write_text(text)
        workspace.run(code=2)
        assert "damaged" in workspace.errors
    facts.unlink()
    workspace.run(code=2)
    assert "restore it, or remove them" in workspace.errors


def test_unreadable_file_of_the_folder_is_an_error(workspace):
    (workspace.out / "x.yml").mkdir(parents=True)
    workspace.run(code=2)
    assert "a directory, not a file" in workspace.errors


def test_folder_that_is_not_included_is_a_gap(workspace):
    workspace.config.write_text("include: [other/*.yml]\n")
    workspace.source("n1.txt", sqlcmd(rows_of("N1")))
    assert "does not include" in workspace.run(code=1)


@pytest.mark.parametrize("sources", ["empty", "empty/*.txt"])
def test_sources_without_a_file_are_an_error(workspace, sources):
    (workspace.path / "empty").mkdir()
    output = workspace.run("--from", str(workspace.path / sources), code=1)
    assert "0 instances read, 1 failure;" in output
    assert f"{sources}: no file: copy the output of inventory.ps1 or inventory.sql there" in workspace.errors


def test_out_that_is_a_file_is_bad_usage(workspace):
    workspace.run("--out", str(workspace.config), code=2)
    assert f"--out: {workspace.config}: a file, not a folder: name a folder" in workspace.errors


def test_missing_configuration_is_bad_usage(workspace):
    workspace.config = workspace.defaults["--config.file"] = workspace.path / "gone.yml"
    workspace.run(code=2)
    assert f"--config.file: {workspace.config}: no such file: create it with the include of " in workspace.errors


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_encodings_of_windows_are_read(workspace, encoding):
    rows = rows_of("N1")
    rows["credentials"][0]["name"] = rows["keys"][0]["credential"] = "Schlüssel €"
    (workspace.path / "in" / "n1.txt").write_bytes(sqlcmd(rows).encode(encoding))
    assert "[Schlüssel €]" in workspace.run()


def test_wrong_code_page_is_detected(workspace):
    rows = rows_of("N1")
    rows["credentials"][0]["name"] = rows["keys"][0]["credential"] = "Schlüssel"
    (workspace.path / "in" / "n1.txt").write_bytes(sqlcmd(rows).encode("cp850"))
    assert "lines or characters were lost" in workspace.run(code=1)


def test_same_instance_twice_and_missing_file_are_errors(workspace):
    workspace.source("n1.txt", sqlcmd(rows_of("N1")))
    workspace.source("n1b.txt", sqlcmd(rows_of("N1")))
    workspace.run("--from", str(workspace.path / "in"), str(workspace.path / "gone.txt"), code=1)
    assert "gone.txt: no such file" in workspace.errors
    assert "N1 was read from another source too" in workspace.errors


def test_supplied_secret_is_not_requested_again_or_written(workspace):
    workspace.source("n1.txt", sqlcmd(rows_of("N1")))
    assert "../secrets/contoso-prod-tde_cred: the SECRET of CREDENTIAL [tde_cred] on N1" in workspace.run()
    workspace.supply_secrets()
    assert "SECRET" not in workspace.run()
    assert not any(MARKED in file.read_text() for file in workspace.out.iterdir())


def test_run_that_another_run_overtook_writes_nothing(workspace, monkeypatch):
    workspace.source("n1.txt", sqlcmd(rows_of("N1")))
    workspace.run()
    facts = workspace.out / "inventory.json"
    texts = {file: file.read_text() for file in facts.parent.iterdir()}

    def overtaken(*arguments, **options):
        facts.write_text(texts[facts] + "\n")
        return make_plan(*arguments, **options)

    monkeypatch.setattr("exporter.cli.inventory.make_plan", overtaken)
    workspace.source("n2.txt", sqlcmd(rows_of("N2")))
    workspace.run(code=2)
    assert "another run replaced it meanwhile, so nothing was written: run the command again" in workspace.errors
    assert {file: file.read_text() for file in facts.parent.iterdir()} == texts | {facts: texts[facts] + "\n"}
