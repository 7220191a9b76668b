"""The pages about modes and permissions agree with the tables of the code, and code reads every setting."""

import dataclasses
import re
from pathlib import Path

from exporter.config.load import load_config
from exporter.config.schema import CREDENTIAL, TARGET
from exporter.config.settings import Credential, Module, Settings, SqlServer, Target
from exporter.core.values import Mode, Step

ROOT = Path(__file__).parents[3]
PLACEMENT = (ROOT / "docs" / "placement.md").read_text(encoding="utf-8")
PERMISSIONS = (ROOT / "docs" / "permissions.md").read_text(encoding="utf-8")


def rows(page, heading):
    """The rows of the first table under a heading, by their first cell."""
    table = re.search(r"(?:^\|.*\n)+", page.partition(f"\n## {heading}\n")[2], re.MULTILINE)
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]
    return {cells[0]: cells[1:] for cells in found}


def test_pages_name_every_mode():
    assert all(f"`{mode}`" in PLACEMENT and f"`{mode}`" in PERMISSIONS for mode in Mode)


def test_canary_on_the_page_loads(tmp_path):
    [example] = re.findall(r"```yaml\n(global:.*?)```", PLACEMENT, re.DOTALL)
    (tmp_path / "ekm.yml").write_text(example)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "probe-only").write_text("the secret of the canary\n")
    loaded = load_config(tmp_path / "ekm.yml")
    assert loaded.problems == ()
    assert loaded.config is not None
    assert [loaded.config.modules[one.module].mode for one in loaded.config.targets.values()] == [Mode.CANARY]


def test_page_of_permissions_covers_every_identity_and_vault():
    features = " ".join(rows(PERMISSIONS, "Feature by feature"))
    others = {
        field.name
        for field in (*CREDENTIAL, *TARGET)
        if re.search("(graph|next|recovery)_|retained|key_vault_secret", field.name)
    }
    assert others - {"recovery_credential"} == {name for name in others if f"`{name}`" in features}
    assert "recovery_credential" in PERMISSIONS
    assert "key_vault_credential" in PERMISSIONS
    steps = {Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY, Step.CHALLENGE}
    assert steps <= {step for step in Step if step in features}


def test_page_of_permissions_assigns_every_role_it_creates():
    made = re.findall(r'"Name": "([^"]+)"', PERMISSIONS)
    assigned = re.findall(r'az role assignment create .*--role "([^"]+)"', PERMISSIONS)
    assert made
    assert set(made) <= set(assigned)


def test_every_setting_is_read():
    """The table of a setting makes its documentation, so a setting without an effect would look complete."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "exporter").rglob("*.py"))
    read = set(re.findall(r"\.(\w+)", code))
    declared = {field.name for kind in (Settings, Module, Target, Credential, SqlServer) for field in dataclasses.fields(kind)}
    assert len(declared) > 40
    assert declared - read == set()
