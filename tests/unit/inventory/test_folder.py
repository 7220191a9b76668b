"""Files of vaults: names, and what a difference shows."""

import pytest

from exporter.inventory.folder import Folder, changes
from exporter.inventory.render import signed


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


def test_difference_has_no_line_of_the_checksum(tmp_path):
    (change,) = changes(Folder(tmp_path, {"contoso.yml": signed("a\nb\n")}, (), ()), {"contoso": signed("a\nc\n")})
    assert change.diff().splitlines()[2:] == ["@@ -1,2 +1,2 @@", " a", "-b", "+c"]
