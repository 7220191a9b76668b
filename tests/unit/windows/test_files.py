"""The files of an installation: what differs, the change, its way back, and their end."""

from pathlib import Path

import pytest

from exporter.windows import install


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "base"
    for name, text in {"ekm.yml": "old", "targets.d/a.yml": "a", "targets.d/b.yml": "b", "secrets/s": "s"}.items():
        put(folder / name, text)
    return folder


@pytest.fixture
def source(tmp_path):
    put(tmp_path / "given" / "mine.yml", "new")
    return tmp_path / "given" / "mine.yml"


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_configuration_of_the_installation_itself_changes_nothing(base):
    assert install.changed_files(base, None) == {}
    assert install.changed_files(base, base / "ekm.yml") == {}


def test_equal_files_are_no_change(base, source):
    put(source, "old")
    put(source.parent / "secrets" / "s", "s")
    assert install.changed_files(base, source) == {}


def test_targets_next_to_the_configuration_replace_those_of_the_installation(base, source):
    put(source.parent / "targets.d" / "b.yml", "b")
    put(source.parent / "targets.d" / "c.yml", "c")
    put(source.parent / "targets.d" / "note.txt", "x")
    assert install.changed_files(base, source) == {"ekm.yml": b"new", "targets.d/a.yml": None, "targets.d/c.yml": b"c"}


def test_targets_of_the_installation_stay_without_a_folder_next_to_the_configuration(base, source):
    assert install.changed_files(base, source) == {"ekm.yml": b"new"}


def test_secrets_next_to_the_configuration_are_added(base, source):
    put(source.parent / "secrets" / "t", "t")
    assert install.changed_files(base, source) == {"ekm.yml": b"new", "secrets/t": b"t"}


def test_written_files_can_be_undone(base):
    before = tree(base)
    changes = {"ekm.yml": b"new", "targets.d/a.yml": None, "targets.d/c.yml": b"c"}
    previous = install.contents(base, changes)
    install.write_files(base, changes)
    assert tree(base) == {"ekm.yml": "new", "secrets/s": "s", "targets.d/b.yml": "b", "targets.d/c.yml": "c"}
    install.write_files(base, previous)
    assert tree(base) == before


def test_previous_configuration_is_kept_whole_and_secrets_are_not(base):
    put(base / "targets.d.old" / "z.yml", "z")
    changes = {"ekm.yml": b"new", "targets.d/a.yml": b"A", "targets.d/c.yml": b"c", "secrets/s": b"S"}
    previous = install.contents(base, changes)
    install.write_files(base, changes)
    install.keep_previous(base, {**previous, "service.json": b"{}"})
    old = {name: text for name, text in tree(base).items() if ".old" in name}
    assert old == {"ekm.yml.old": "old", "targets.d.old/a.yml": "a", "targets.d.old/b.yml": "b"}


def test_unchanged_configuration_keeps_its_previous_one(base):
    put(base / "ekm.yml.old", "older")
    install.keep_previous(base, {"service.json": b"{}"})
    assert tree(base)["ekm.yml.old"] == "older"


def test_data_is_removed_and_the_program_stays(base):
    for name in ("app/p", "ekm.yml.old", "targets.d.old/a.yml", "state/s", "logs/l", "service.json"):
        put(base / name, "x")
    install.remove_data(base)
    assert tree(base) == {"app/p": "x"}


def test_folder_without_a_program_is_removed_with_its_data(base):
    install.remove_data(base)
    assert not base.exists()
    install.remove_data(base)


def test_file_in_use_is_replaced_a_little_later(base, monkeypatch):
    monkeypatch.setattr(install, "_PAUSE", 0.0)
    replace, refusals = Path.replace, [PermissionError(), PermissionError()]

    def busy(self, target):
        if refusals:
            raise refusals.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    install.replace_file(base / "ekm.yml", b"new")
    assert tree(base)["ekm.yml"] == "new"


def test_file_that_stays_in_use_is_an_error_and_leaves_no_other(base, monkeypatch):
    monkeypatch.setattr(install, "_PAUSE", 0.0)

    def busy(*_):
        raise PermissionError

    monkeypatch.setattr(Path, "replace", busy)
    before = tree(base)
    with pytest.raises(PermissionError):
        install.replace_file(base / "ekm.yml", b"new")
    assert tree(base) == before


def test_folder_behind_a_link_is_not_removed_with_the_data(base, tmp_path):
    put(tmp_path / "elsewhere" / "file", "x")
    (base / "state").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    install.remove_data(base)
    assert not base.exists()
    assert tree(tmp_path / "elsewhere") == {"file": "x"}


def test_files_that_are_no_secrets_are_not_copied(base, source):
    for name in (".git", "a b", "t"):
        put(source.parent / "secrets" / name, "t")
    assert install.changed_files(base, source) == {"ekm.yml": b"new", "secrets/t": b"t"}
