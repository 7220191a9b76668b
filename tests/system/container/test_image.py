"""The image in a locked-down container: read-only, without network, without root."""

import ast
import json
import re
import time

import pytest

from tests.system.container.conftest import BASE, IMAGE, PLANTED, ROOT

pytestmark = pytest.mark.container

INSTALL = ROOT / "docs" / "install.md"
MOST_ADDED = 57e6  # bytes

WHO_AM_I = """
import json, os, importlib.util
def writable(path):
    try:
        open(path + "/probe", "w").close()
    except OSError:
        return False
    return True
print(json.dumps({"uid": os.getuid(), "root": writable("/"), "venv": writable("/opt/ekm-exporter"),
                  "pip": importlib.util.find_spec("pip") is not None, "hatchling": importlib.util.find_spec("hatchling") is not None}))
"""

INSTALLERS = """
import glob, json, os, re, subprocess
places = os.environ["PATH"].split(":")
names = {name for place in places if os.path.isdir(place) for name in os.listdir(place)}
installer = re.compile(r"(pip|pipx|easy_install|uv|poetry|conda|apt|dpkg|apk|rpm|dnf|npm|gem|cargo)[0-9.]*$")
pythons = {path for place in places for path in glob.glob(place + "/python3*") if re.search(r"/python3[0-9.]*$", path)}
script = "import importlib.util as u; print([name for name in ('pip', 'ensurepip', 'uv') if u.find_spec(name)])"
print(json.dumps({"programs": sorted(filter(installer.match, names)), "pythons": len(pythons),
                  "modules": sorted({subprocess.check_output([path, "-I", "-c", script], text=True).strip() for path in pythons}),
                  "planted": [path for path in PLANTED if os.path.exists(path)]}))
"""
WHOSE_STATE = """
import json, os
found = os.stat("/state")
print(json.dumps({"uid": found.st_uid, "gid": found.st_gid, "mode": found.st_mode & 0o7777, "files": os.listdir("/state")}))
"""
CONFIGURATION = """
credentials:
  c: {type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: secret}
targets:
  - {name: t, vault: no-such-vault, key: k/0123456789abcdef0123456789abcdef, credential: c}
sql_servers: [{address: no-such-server, user: ekm, password_file: secret}]
"""


@pytest.fixture(scope="module")
def demo(engine):
    return engine.start("demo")


def test_demo_runs_in_a_locked_down_container(engine, demo):
    def probed(text):
        return re.search(r"^ekm_probe_success\{.*\} 1(\.0)?$", text, re.MULTILINE) is not None

    assert "# TYPE ekm_probe_success gauge" in engine.eventually(demo, "/metrics", probed)
    assert engine.get(demo, "/-/healthy").returncode == 0


def test_image_health_check_passes_while_the_exporter_runs(engine, demo):
    engine.eventually(demo, "/-/healthy")
    assert engine.podman("healthcheck", "run", demo, check=False).returncode == 0


def test_process_is_not_root_and_cannot_change_the_image(engine, demo):
    seen = json.loads(engine.podman("exec", demo, "python", "-c", WHO_AM_I).stdout)
    assert seen == {"uid": 65532, "root": False, "venv": False, "pip": False, "hatchling": False}


def test_image_has_no_package_installer_except_that_of_debian(engine, demo):
    seen = json.loads(engine.podman("exec", demo, "python", "-c", f"PLANTED = {PLANTED}\n{INSTALLERS}").stdout)
    assert seen == {"programs": ["apt", "dpkg"], "pythons": seen["pythons"], "modules": ["[]"], "planted": []}
    assert seen["pythons"] >= 2  # those of the exporter and of the base


def test_image_has_the_licence_texts_of_its_packages(engine, demo):
    script = "from pathlib import Path as P; print([(f.name, f.stat().st_size) for f in sorted(P('/opt/ekm-exporter/licences').iterdir())])"
    seen = dict(ast.literal_eval(engine.podman("exec", demo, "python", "-c", script).stdout))
    assert set(seen) == {"LICENSE", "THIRD-PARTY-LICENCES.txt"}
    assert min(seen.values()) > 10_000


def test_sigterm_stops_the_demo_before_podman_kills_it(engine):
    name = engine.start("demo")
    engine.eventually(name, "/-/healthy")
    begun = time.monotonic()
    engine.podman("kill", "--signal", "TERM", name)
    code = engine.podman("wait", name).stdout.strip()
    took = time.monotonic() - begun
    log = engine.podman("logs", name)
    assert (code, took < 9) == ("0", True), f"exit code {code} after {took:.1f} s\n{log.stdout}{log.stderr}"
    assert "Traceback" not in log.stdout + log.stderr


def test_image_runs_the_mounted_configuration_by_default(engine, tmp_path):
    (tmp_path / "secret").write_text("a-secret-of-the-container-test\n")
    (tmp_path / "ekm.yml").write_text(CONFIGURATION)
    tmp_path.chmod(0o755)
    name = engine.start(options=("--volume", f"{tmp_path}:/etc/ekm-exporter:ro"))
    text = engine.eventually(name, "/metrics", lambda text: "ekm_last_error_code{" in text and "mssql_ekm_read_success{" in text)
    assert 'target="t"' in text
    assert 'host="no-such-server"' in text  # so the image has the driver


def test_new_named_volume_stores_the_state(engine, tmp_path):
    (tmp_path / "secret").write_text("a-secret-of-the-container-test\n")
    (tmp_path / "ekm.yml").write_text(CONFIGURATION)
    tmp_path.chmod(0o755)
    volumes = ("--volume", f"{tmp_path}:/etc/ekm-exporter:ro", "--volume", "ekm-state:/state")
    name = engine.start("run", "--config.file=/etc/ekm-exporter/ekm.yml", "--state.dir=/state", options=volumes)
    engine.eventually(name, "/-/healthy")
    seen = json.loads(engine.podman("exec", name, "python", "-c", WHOSE_STATE).stdout)
    assert {**seen, "files": bool(seen["files"])} == {"uid": 65532, "gid": 65532, "mode": 0o700, "files": True}


def test_image_state_directory_is_empty_and_private(engine, demo):
    seen = json.loads(engine.podman("exec", demo, "python", "-c", WHOSE_STATE).stdout)
    assert seen == {"uid": 65532, "gid": 65532, "mode": 0o700, "files": []}


def test_missing_configuration_is_one_clear_line(engine):
    name = engine.start()
    assert engine.podman("wait", name).stdout.strip() == "2"
    log = engine.podman("logs", name)
    assert "/etc/ekm-exporter/ekm.yml" in log.stdout + log.stderr
    assert "Traceback" not in log.stdout + log.stderr


def test_image_adds_little_to_its_base(engine, record_property):
    base, whole = engine.size(BASE), engine.size(IMAGE)
    record_property("image", f"{whole / 1e6:.0f} MB, {(whole - base) / 1e6:.1f} MB more than the base")
    assert 10e6 < whole - base < MOST_ADDED
    reported = re.search(r"The image adds (\d+) MB to its base", INSTALL.read_text())
    assert reported is not None
    assert abs((whole - base) / 1e6 - int(reported[1])) < 3
