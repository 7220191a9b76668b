"""`deploy/windows/make_msi.py`: the tables of Windows Installer as msitools reads them, the same bytes each time, and the signature."""

import base64
import datetime as dt
import os
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.windows import make_msi
from exporter import __version__

pytestmark = pytest.mark.windows  # they need wixl and msitools

FILES = {
    "ekm.example.yml": b"targets: []\r\n",
    "app/VERSION": b"0.1.0",
    "app/ekm-exporter.cmd": b"@rem\r\n",
    "app/python/python.exe": b"MZ",
    "app/python/LICENSE.txt": b"PSF",
    "app/lib/exporter/__init__.py": b"",
    "app/lib/exporter/web/static/style.css": b"a {}",
    "app/lib/native.pyd": b"MZ",
    "app/lib/zlast.py": b"",
}
RELEASE = Path(__file__).parents[3] / ".github" / "workflows" / "release.yml"
IN_SCRIPT, ROLLBACK, NO_IMPERSONATE, CONTINUE = 0x400, 0x100, 0x800, 0x40
SET_PROPERTY = 51


def table(msi: Path, name: str) -> list[list[str]]:
    """The rows of a table, or of the summary."""
    done = subprocess.run(["msiinfo", "export", msi, name], capture_output=True, text=True, check=True)  # noqa: S603, S607 - a Debian package, no outside input
    return [line.split("\t") for line in done.stdout.splitlines()[3:]]


def keyed(msi: Path, name: str) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in table(msi, name)}


def long(name: str) -> str:
    return name.rpartition("|")[2]


@pytest.fixture(scope="module")
def msi(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("msi") / "made.msi"
    make_msi.make(FILES, __version__, out)
    return out


@pytest.fixture(scope="module")
def steps(msi) -> dict[str, tuple[str, int]]:
    """Condition and number of each action of an installation."""
    return {name: (row[0], int(row[1])) for name, row in keyed(msi, "InstallExecuteSequence").items()}


@pytest.fixture(scope="module")
def actions(msi) -> dict[str, list[str]]:
    return keyed(msi, "CustomAction")


def test_each_name_has_a_short_one_that_is_its_own(msi):
    """Windows Installer wants one of 8 and 3 characters where the file system has such names."""
    files = [(row[1], row[2].split("|")[0]) for row in table(msi, "File")]
    below = [(row[1], row[2].split("|")[0]) for row in table(msi, "Directory") if row[1]]
    assert [name for _, name in files + below if not re.fullmatch(r"\.|[\w-]{1,8}(\.[\w-]{1,3})?|SourceDir", name)] == []
    assert len(set(files)) == len(files)
    assert len(set(below)) == len(below)


def test_components_belong_to_64_bit_windows_and_keep_their_identifiers(msi, tmp_path):
    make_msi.make({**FILES, "app/VERSION": b"9.9.9", "app/lib/other.py": b""}, "9.9.9", tmp_path / "next.msi")
    first, second = ({row[1]: row[2:4] for row in table(one, "Component")} for one in (msi, tmp_path / "next.msi"))
    assert first == second
    assert {attributes for _, attributes in first.values()} == {"256"}
    assert len(first) == 7


def test_upgrade_code_is_that_of_every_version(msi):
    assert keyed(msi, "Property")["UpgradeCode"] == ["{9D96311D-FCE1-4D64-86CA-8DF4A814A488}"]
    rows = {row[-1]: row[:-1] for row in table(msi, "Upgrade")}
    assert {row[0] for row in rows.values()} == {"{9D96311D-FCE1-4D64-86CA-8DF4A814A488}"}
    both_ends, detect = 0x300, 0x2
    assert int(rows["WIX_SAME_VERSION_UPGRADE_DETECTED"][4]) & both_ends == both_ends
    assert int(rows["WIX_DOWNGRADE_DETECTED"][4]) & detect
    assert "NOT WIX_DOWNGRADE_DETECTED" in keyed(msi, "LaunchCondition")


def test_properties_are_secure_public_and_no_secrets(msi):
    properties = keyed(msi, "Property")
    secure = set(properties["SecureCustomProperties"][0].split(";"))
    assert set(make_msi.PROPERTIES) <= secure
    assert {one for one in make_msi.PROPERTIES if one != one.upper()} == set()
    assert re.findall("SECRET|PASSWORD|CREDENTIAL|TOKEN", " ".join(secure)) == []
    assert properties["ALLUSERS"] == ["1"]
    assert properties["REINSTALLMODE"] == ["amus"]


def test_actions_that_change_something_run_as_the_system_in_the_transaction(actions):
    kinds = {name: int(row[0]) for name, row in actions.items() if int(row[0]) != SET_PROPERTY}
    assert [name for name, kind in kinds.items() if not kind & IN_SCRIPT or not kind & NO_IMPERSONATE] == []
    assert {name for name, kind in kinds.items() if kind & ROLLBACK} == {"ServiceStart", "ServiceStop", "BytecodeRollback"}
    assert [name for name, kind in kinds.items() if not kind & CONTINUE] == ["ServiceInstall"]


def test_service_is_stopped_before_files_change_and_installed_after(steps):
    order = [
        "InstallInitialize",
        "RemoveExistingProducts",
        "ServiceStart",
        "StopServices",
        "DeleteServices",
        "ServiceRemove",
        "LogRemove",
        "BytecodeRemove",
        "RemoveFiles",
        "InstallFiles",
        "BytecodeRollback",
        "BytecodeCompile",
        "PublishProduct",
        "ServiceStop",
        "ServiceInstall",
        "InstallFinalize",
    ]
    assert sorted(order, key=lambda name: steps[name][1]) == order


def test_service_and_log_stay_while_a_version_replaces_another(steps, msi):
    assert steps["DeleteServices"][0] == "NOT UPGRADINGPRODUCTCODE"
    assert steps["ServiceRemove"][0] == steps["LogRemove"][0] == 'REMOVE = "ALL" AND NOT UPGRADINGPRODUCTCODE'
    start_and_stop_at_install, stop_and_delete_at_removal = 0x1 | 0x2, 0x20 | 0x80
    (row,) = table(msi, "ServiceControl")
    assert (row[1], int(row[2])) == ("ekm-exporter", start_and_stop_at_install | stop_and_delete_at_removal)


def test_repair_runs_no_program_since_any_user_may_start_it(steps, actions):
    """Windows Installer itself starts the service: a program of SYSTEM would show its window to that user."""
    programs = {name for name, row in actions.items() if int(row[0]) != SET_PROPERTY}
    no_repair = ("NOT Installed", 'REMOVE = "ALL"', "NOT (REINSTALL OR")
    assert [name for name in sorted(programs) if not steps[name][0].startswith(no_repair)] == []
    assert steps["StartServices"][0] == "REINSTALL"


def test_failed_installation_stops_the_service_and_starts_an_earlier_one_after_its_files_came_back(steps, actions):
    assert steps["ServiceStop"][0] == "NOT Installed"
    assert steps["ServiceStart"][0] == "NOT (REINSTALL OR WIX_UPGRADE_DETECTED OR WIX_SAME_VERSION_UPGRADE_DETECTED)"
    assert [name for name, row in actions.items() if int(row[0]) & ROLLBACK and " remove" in row[2]] == []


def test_same_files_give_the_same_bytes(msi, tmp_path):
    second = int(time.time())
    while int(time.time()) == second:  # wixl writes the second of the clock
        time.sleep(0.02)
    make_msi.make(FILES, __version__, tmp_path / "again.msi")
    assert (tmp_path / "again.msi").read_bytes() == msi.read_bytes()


def test_build_takes_the_files_of_the_zip_and_renews_the_checksums(tmp_path):
    top = f"ekm-exporter-{__version__}-windows-amd64"
    with zipfile.ZipFile(tmp_path / f"{top}.zip", "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"{top}/{name}", content)
    out = make_msi.build(tmp_path)
    assert out.name == f"{top}.msi"
    assert {long(row[2]) for row in table(out, "File")} == {Path(name).name for name in FILES}
    assert [line.split("  ")[1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()] == [out.name, f"{top}.zip"]


def certificate() -> bytes:
    """A certificate for programs, with its key, in PKCS 12."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ekm-exporter test")])
    today = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(today - dt.timedelta(days=1)).not_valid_after(today + dt.timedelta(days=1))
    made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    chosen = serialization.BestAvailableEncryption(b"not a secret")
    return pkcs12.serialize_key_and_certificates(b"test", key, made.sign(key, hashes.SHA256()), None, chosen)


def sign(dist: Path, temporary: Path, secrets: dict[str, str]) -> str:
    """Run the step of the workflow, without the installation of its program and without the time from the internet; return its note."""
    temporary.mkdir()
    (step,) = [one for one in yaml.safe_load(RELEASE.read_text())["jobs"]["sign"]["steps"] if "run" in one]
    script = "sudo() { :; }\n" + re.sub(r" -ts \S+", "", step["run"])
    environment = {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(temporary),
        "GITHUB_OUTPUT": str(temporary / "output"),
        **secrets,
    }
    subprocess.run(["bash", "-e", "-c", script], cwd=dist.parent, env=environment, check=True)  # noqa: S603, S607 - see above
    return (temporary / "output").read_text()


def test_workflow_signs_the_msi_and_renews_the_checksums(msi, tmp_path):
    dist = tmp_path / "dist"
    dist.mkdir()
    signed = Path(shutil.copy(msi, dist))
    (dist / "SHA256SUMS").write_text("old")
    secrets = {"CERTIFICATE": base64.b64encode(certificate()).decode(), "PASSWORD": "not a secret"}
    assert sign(dist, tmp_path / "runner", secrets) == "note=The MSI is signed for Windows.\n"
    assert table(signed, "Property") == table(msi, "Property")
    sums = (dist / "SHA256SUMS").read_text()
    make_msi.release.write_sums(dist)
    assert sums == (dist / "SHA256SUMS").read_text()
    output = subprocess.run(["osslsigncode", "verify", signed], capture_output=True, text=True, check=False).stdout  # noqa: S603, S607 - see above
    assert "CN=ekm-exporter test" in output
    calculated = re.findall(r"(?:Current|Calculated) DigitalSignature\s*: (\w+)", output)
    assert len(calculated) == 2, output
    assert len(set(calculated)) == 1
    assert {path.name for path in (tmp_path / "runner").iterdir()} == {"output"}


def test_workflow_leaves_the_msi_unsigned_without_a_certificate(msi, tmp_path):
    dist = tmp_path / "dist"
    dist.mkdir()
    unsigned = Path(shutil.copy(msi, dist))
    note = sign(dist, tmp_path / "runner", {"CERTIFICATE": "", "PASSWORD": ""})
    assert note == "note=The MSI has no signature for Windows.\n"
    assert unsigned.read_bytes() == msi.read_bytes()
