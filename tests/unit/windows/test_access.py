"""Rights on the folders of an installation."""

import re

from exporter.windows.rules import ADMINISTRATORS_ONLY, folder_rights

SID = "S-1-5-80-1-2-3-4-5"
WRITES = {"state", "logs"}


def entries(descriptor: str) -> list[tuple[str, ...]]:
    """Return flags, right and account of each entry; each one allows."""
    owner, found = re.fullmatch(r"O:BAD:P((?:\([^)]*\))+)", descriptor), re.findall(r"\(A;(.*?);(.*?);;;(.*?)\)", descriptor)
    assert owner is not None
    assert descriptor.count("(") == len(found)
    return found


def test_rights_of_folders_are_inherited_by_all_in_them():
    for descriptor in (ADMINISTRATORS_ONLY, *folder_rights(SID).values()):
        assert {flags for flags, _, _ in entries(descriptor)} == {"OICI"}


def test_only_administrators_the_system_and_the_service_have_rights():
    for folder, descriptor in folder_rights(SID).items():
        assert [who for _, _, who in entries(descriptor)] == ["BA", "SY", "BU" if folder == "app" else SID]


def test_service_writes_state_and_logs_alone_and_users_write_nothing():
    rights = {folder: entries(descriptor)[2][1] for folder, descriptor in folder_rights(SID).items()}
    write, delete = 0x2, 0x10000  # FILE_WRITE_DATA, DELETE
    numbers = {folder: 0x120089 if right == "FR" else int(right, 16) for folder, right in rights.items()}
    assert {folder for folder, right in numbers.items() if right & write} == WRITES
    assert {folder for folder, right in numbers.items() if right & delete} == WRITES
    assert {folder for folder, right in numbers.items() if not right & 0x1} == set()  # FILE_READ_DATA


def test_outer_folder_comes_first():
    assert next(iter(folder_rights(SID))) == ""
