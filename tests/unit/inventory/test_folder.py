"""Names of the files of vaults."""

import pytest

from exporter.inventory.folder import Folder, changes


@pytest.mark.parametrize(
    ("vault", "others", "name"),
    [
        ("contoso", (), "contoso.yml"),
        ("contoso", ("contoso.yml",), "contoso.inventory.yml"),
        ("con", (), "_con.yml"),  # Windows would print the file
        ("con", ("_con.yml",), "_con.inventory.yml"),
    ],
)
def test_file_of_a_vault_has_a_name_for_itself(tmp_path, vault, others, name):
    (change,) = changes(Folder(tmp_path, {}, (), others), {vault: "text"})
    assert change.path == tmp_path / name
