"""Build the MSI from the files of the Windows zip: what it does is in `ekm-exporter.wxs`, which files it has is written here.

`python deploy/windows/make_msi.py DIST` takes the zip from DIST, adds the MSI, and renews the checksums. It needs `wixl` and `msibuild`
(the Debian packages wixl and msitools). The same zip gives the same bytes with the same versions of these programs.
"""

import hashlib
import os
import re
import struct
import subprocess
import sys
import tempfile
import uuid
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path, PurePosixPath

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import release  # noqa: E402 - the scripts of deploy/ are in no package

SOURCE = HERE / "ekm-exporter.wxs"
PATHS = uuid.UUID("6c1f62f1-8d3b-5c6e-9a59-7f2e3f9a5c10")  # the name space of all other identifiers: never change it
PROPERTIES = ("CONFIG", "LISTEN", "ARGUMENTS", "SERVICEACCOUNT", "PROMETHEUS", "REMOVEDATA")  # what an installation may set
VERSIONED = {".exe", ".dll", ".pyd"}  # Windows Installer refuses a component whose key file is there with a newer version
SHORT = re.compile(r"[\w-]{1,8}(\.[\w-]{1,3})?", re.ASCII)
TIME = 1580601600  # 2020-02-02, as in release.py
FOLDERS = {".": "BASE", "app": "APP"}  # what the wxs names: these
FILES = {"app/python/python.exe": "Python"}  # and these
# What wixl takes from chance and clock: the identifier of the package and two times, next to each other in the summary.
CHANGING = re.compile(rb"(?<=\x1e\0\0\0\x27\0\0\0)\{[0-9A-F-]{36}\}\0\0\x40\0\0\0.{8}\x40\0\0\0.{8}", re.DOTALL)


def read(archive: Path) -> dict[str, bytes]:
    """Return the files of the zip, without its own folder."""
    with zipfile.ZipFile(archive) as packed:
        return {name.partition("/")[2]: packed.read(name) for name in packed.namelist()}


def identifier(kind: str, name: str) -> str:
    return f"{kind}_{uuid.uuid5(PATHS, name).hex}"


def listed(name: str, kind: str, number: int) -> str:
    """Return the name as the tables list it: after one of 8 and 3 characters, unless it is that short."""
    return name if SHORT.fullmatch(name) else f"{kind}{number:07}|{name}"


def folders(files: dict[str, bytes]) -> dict[str, list[str]]:
    """Return the names of the files of each folder, and every folder after the one that holds it."""
    found: dict[str, list[str]] = {}
    for name in sorted(files):
        place = PurePosixPath(name).parent
        for folder in [*reversed(place.parents), place]:
            found.setdefault(str(folder), [])
        found[str(place)].append(name)
    return dict(sorted(found.items()))


def fragment(files: dict[str, bytes]) -> bytes:
    """Return the source of folders and components: one for each folder, its GUID made from the path, its key a file without a version."""
    root = ET.Element("Wix", xmlns="http://schemas.microsoft.com/wix/2006/wi")
    top = ET.SubElement(root, "Fragment")
    group = ET.SubElement(ET.SubElement(root, "Fragment"), "ComponentGroup", Id="Files")
    nodes: dict[str, ET.Element] = {}
    for number, (folder, names) in enumerate(folders(files).items()):
        path = PurePosixPath(folder)
        if folder in FOLDERS:
            nodes[folder] = ET.SubElement(top, "DirectoryRef", Id=FOLDERS[folder])
        else:
            nodes[folder] = ET.SubElement(
                nodes[str(path.parent)], "Directory", Id=identifier("d", folder), Name=listed(path.name, "D", number)
            )
        if names:
            made = ET.SubElement(nodes[folder], "Component", Id=identifier("c", folder), Guid=str(uuid.uuid5(PATHS, folder)))
            for index, name in enumerate(sorted(names, key=lambda one: (PurePosixPath(one).suffix in VERSIONED, one))):
                known = listed(PurePosixPath(name).name, "F", index)
                ET.SubElement(made, "File", Id=FILES.get(name, identifier("f", name)), Name=known, Source=name)
            made[0].set("KeyPath", "yes")
            ET.SubElement(group, "ComponentRef", Id=made.attrib["Id"])
    return ET.tostring(root)


def stage(files: dict[str, bytes], place: Path) -> None:
    """Write the files where wixl finds them, with one time, which the cabinet keeps."""
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (TIME, TIME))


def changes(place: Path) -> list[str | Path]:
    """Return what msibuild adds, since older versions of wixl have no words for it: public properties, and the path of commands."""
    table = place / "Environment.idt"
    rows = (
        "Environment\tName\tValue\tComponent_",
        "s72\tl255\tL255\ts72",
        "Environment\tEnvironment",
        "Path\t=-*PATH\t[~];[APP]\tService",
    )
    table.write_text("".join(f"{row}\r\n" for row in rows), encoding="ascii", newline="")
    secure = ";".join([*PROPERTIES, "WIX_DOWNGRADE_DETECTED", "WIX_SAME_VERSION_UPGRADE_DETECTED", "WIX_UPGRADE_DETECTED"])
    query = f"UPDATE `Property` SET `Value` = '{secure}' WHERE `Property` = 'SecureCustomProperties'"  # noqa: S608 - no outside input
    return ["-i", table, "-q", query]


def settled(content: bytes, package: uuid.UUID) -> bytes:
    """Return the MSI with a fixed time, and the identifier of the package that its content gives."""
    time = struct.pack("<IQ", 0x40, (TIME + 11644473600) * 10**7)
    changed, count = CHANGING.subn(f"{{{package}}}".upper().encode() + b"\0\0" + time * 2, content)
    if count != 1:
        raise ValueError(f"{count} summaries in the MSI")
    return changed


def run(*command: str | Path, place: Path) -> None:
    subprocess.run(command, check=True, cwd=place, env={**os.environ, **release.FIXED})  # noqa: S603 - no outside input commands


def make(files: dict[str, bytes], version: str, out: Path) -> None:
    """Write the MSI of these files."""
    digest = hashlib.sha256(SOURCE.read_bytes() + Path(__file__).read_bytes() + version.encode())
    for name in sorted(files):
        digest.update(f"{name}\0{hashlib.sha256(files[name]).hexdigest()}\0".encode())
    product, package = (uuid.uuid5(PATHS, f"{kind} {digest.hexdigest()}") for kind in ("product", "package"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        stage(files, place)
        (place / "files.wxs").write_bytes(fragment(files))
        made = place / "made.msi"
        run(
            "wixl",
            "--arch",
            "x64",
            "-D",
            f"Version={version}",
            "-D",
            f"Product={product}",
            "-o",
            made,
            SOURCE,
            "files.wxs",
            place=place,
        )
        run("msibuild", made, *changes(place), place=place)
        out.write_bytes(settled(made.read_bytes(), package))


def build(dist: Path) -> Path:
    """Add the MSI to the folder of a release."""
    (archive,) = dist.glob("ekm-exporter-*-windows-amd64.zip")
    out = archive.with_suffix(".msi")
    make(read(archive), archive.name.split("-")[2], out)
    release.write_sums(dist)
    return out


if __name__ == "__main__":
    build(Path(sys.argv[1]))
