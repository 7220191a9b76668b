"""Files of vaults: names, and what a difference shows."""

import pytest

from exporter.inventory.folder import Folder, Sources, changes
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


@pytest.mark.parametrize(("names", "place", "failure"), [((), "", "no file: copy"), (("keys.txt",), "/keys.txt", "not read: ")])
def test_folder_of_outputs_may_have_folders(tmp_path, names, place, failure):
    (tmp_path / "old").mkdir()
    for name in names:
        (tmp_path / name).touch()
    sources = Sources()
    sources.read_files([str(tmp_path)])
    (line,) = sources.failures
    assert line.startswith(f"{tmp_path}{place}: {failure}")
