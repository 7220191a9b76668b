"""Which files and folders get the rights of a folder; only Windows shows the rights themselves."""

import os
from types import SimpleNamespace

import pytest

from exporter.windows import accounts


@pytest.fixture
def changed(monkeypatch):
    """Paths whose rights are changed."""
    found = []
    monkeypatch.setattr(accounts, "_apply", lambda path, *_: found.append(path))
    return found


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base" / "state" / "inner").mkdir(parents=True)
    (tmp_path / "base" / "state" / "inner" / "file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    return tmp_path / "base"


def test_all_in_a_folder_gets_its_rights_from_the_outside_in(folder, changed):
    accounts.set_folder_access(folder, "D:")
    assert changed == [folder, folder / "state", folder / "state" / "inner", folder / "state" / "inner" / "file"]


def test_folder_with_rights_of_its_own_is_left_alone(folder, changed):
    accounts.set_folder_access(folder, "D:", keep=(folder / "state",))
    assert changed == [folder]


@pytest.mark.parametrize("place", ["state", "state/link", "state/inner/link"])
@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_link_is_refused_before_anything_is_changed(folder, changed, place, make):
    link = folder / place
    if link.is_dir():
        link.rename(folder / "moved")
    if make is os.link:
        make(folder.parent / "elsewhere" / "file", link)
    else:
        make(folder.parent / "elsewhere", link, target_is_directory=True)
    with pytest.raises(OSError, match=f"{link} is a link"):
        accounts.set_folder_access(folder, "D:")
    assert changed == []


@pytest.mark.parametrize(("tag", "is_refused"), [(0xA0000003, True), (0xA000000C, True), (0x80000017, False)])
def test_junction_is_a_link_and_a_compressed_file_is_none(folder, changed, monkeypatch, tag, is_refused):
    """As Windows reports them: a junction is a folder with a tag."""
    real = type(folder).lstat

    def found(path):
        return SimpleNamespace(st_mode=real(path).st_mode, st_nlink=1, st_reparse_tag=tag if path == folder / "state" else 0)

    monkeypatch.setattr(type(folder), "lstat", found)
    if is_refused:
        with pytest.raises(OSError, match="state is a link"):
            accounts.set_folder_access(folder, "D:")
    else:
        accounts.set_folder_access(folder, "D:")
    assert bool(changed) is not is_refused
