"""The pages about modes and permissions agree with the tables of the code, and code reads every setting."""

import dataclasses
import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from exporter.config.consequences.traffic import streams
from exporter.config.loader import load_config
from exporter.config.settings import Credential, Module, Settings, SqlServer, Target
from exporter.config.settings.schema import CREDENTIAL, TARGET
from exporter.core.model import Mode, Step

ROOT = Path(__file__).parents[3]
MODES = (ROOT / "docs" / "modes.md").read_text(encoding="utf-8")
PERMISSIONS = (ROOT / "docs" / "permissions.md").read_text(encoding="utf-8")
TODAY = date(2026, 6, 1)

# A row of the table of requests: the mode, further keys of the target, the credential of the requests.
WRITTEN = {
    "probe, mode `full`": ("full", "", "c"),
    "probe, mode `read_only`": ("read_only", "", "c"),
    "probe, mode `canary`": ("canary", "", "c"),
    "newest version of a pinned key": ("full", "", "c"),
    "`next_credential`": ("full", "next_credential: d", "d"),
    "each entry of `retained_versions`": ("full", "retained_versions: [{key: k/2, credential: d}]", "d"),
    "`recovery_vault`": ("full", "recovery_vault: contoso-dr, recovery_credential: d", "d"),
}
BETWEEN = "probe, mode `full`, between two round trips"


def rows(page, heading):
    """The rows of the first table under a heading, by their first cell."""
    table = re.search(r"(?:^\|.*\n)+", page.partition(f"\n## {heading}\n")[2], re.MULTILINE)
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]
    return {cells[0]: cells[1:] for cells in found}


def stream_of(tmp_path, row):
    mode, more, credential = WRITTEN[row]
    path = tmp_path / "ekm.yml"
    path.write_text(
        f"credentials: {{c: {{type: default}}, d: {{type: default}}}}\nmodules: {{default: {{mode: {mode}}}}}\n"
        f"targets: [{{name: a, vault: contoso, key: k/1, credential: c, {more}}}]\n"
    )
    config = load_config(path, today=TODAY).config
    auxiliary = not row.startswith("probe")
    [stream] = [one for one in streams(config, TODAY) if (one.auxiliary, one.credential) == (auxiliary, credential)]
    return stream


@pytest.mark.parametrize("row", WRITTEN)
def test_page_of_modes_lists_the_real_requests(row, tmp_path):
    *cells, how_often = rows(MODES, "Requests")[row]
    stream = stream_of(tmp_path, row)
    shown = {step for step, cell in zip(Step, cells, strict=True) if cell}
    assert shown - {Step.TOKEN} == {operation.step for operation in stream.operations}
    assert Step.TOKEN in shown
    assert how_often == ("`auxiliary_interval`" if stream.auxiliary else "`interval`")


def test_page_of_modes_reads_only_the_key_between_round_trips():
    table = rows(MODES, "Requests")
    assert table.keys() == {*WRITTEN, BETWEEN}
    assert table[BETWEEN] == table["probe, mode `read_only`"]


def test_page_of_modes_shows_the_real_defaults():
    default = Module(name="default")
    assert (default.mode, default.round_trip_interval, default.auxiliary_interval) == (Mode.FULL, 0.0, 300.0)
    assert [(mode in MODES) for mode in ("`full`, the default", "`0s`, the default", "`5m`, the default")] == [True] * 3
    assert all(f"`{mode}`" in MODES and f"`{mode}`" in PERMISSIONS for mode in Mode)


def test_modules_on_the_page_load(tmp_path):
    [example] = re.findall(r"```yaml\n(.*?)```", MODES, re.DOTALL)
    modules = yaml.safe_load(example)["modules"]
    targets = [f"{{name: {name}, vault: contoso, key: k/1, credential: c, module: {name}}}" for name in modules]
    (tmp_path / "ekm.yml").write_text(f"credentials: {{c: {{type: default}}}}\n{example}targets: [{', '.join(targets)}]\n")
    assert load_config(tmp_path / "ekm.yml").problems == ()


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
