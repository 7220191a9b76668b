"""Workflows, image and bill of materials pass their linters."""

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from exporter import __version__

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / ".cache" / "tools"
GITHUB = ROOT / ".github"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    # Programs of the locked list, files of this project.
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - no outside input commands


def workflow(name: str) -> dict[str, object]:
    read: dict[str, object] = yaml.safe_load((GITHUB / "workflows" / name).read_text())
    return read


def actionlint(one: Path) -> subprocess.CompletedProcess[str]:
    return run("node", TOOLS / "node_modules" / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js", one)


@pytest.mark.tools
@pytest.mark.parametrize("name", ["audit.yml", "ci.yml", "release.yml"])
def test_actionlint_accepts_the_workflow(name):
    done = actionlint(GITHUB / "workflows" / name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Checking 1 workflow" in done.stdout


@pytest.mark.tools
def test_actionlint_detects_a_mistake(tmp_path):
    steps = "      - run: echo ${{ github.misspelt }}\n"
    (tmp_path / "bad.yml").write_text(f"on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n{steps}")
    done = actionlint(tmp_path / "bad.yml")
    assert done.returncode != 0
    assert "misspelt" in done.stdout + done.stderr


@pytest.mark.tools
def test_zizmor_accepts_the_workflows():
    done = run(TOOLS / "bin" / "zizmor", "--offline", "--quiet", "--persona", "pedantic", "--format", "json", GITHUB)
    found = [(one["ident"], one["determinations"]["severity"]) for one in json.loads(done.stdout)]
    # Jobs have no display names; their ids identify them.
    assert [one for one in found if one[0] != "anonymous-definition"] == []


@pytest.mark.tools
def test_hadolint_accepts_the_dockerfile():
    done = run(TOOLS / "bin" / "hadolint", ROOT / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.tools
def test_bill_of_materials_lists_locked_packages_and_hashes(tmp_path):
    component = tmp_path / "component.toml"
    component.write_text(f'[project]\nname = "ekm-exporter"\nversion = "{__version__}"\nlicense = {{text = "Apache-2.0"}}\n')
    made = []
    for number in range(2):
        out = tmp_path / f"{number}.json"
        how = ["--output-reproducible", "--schema-version", "1.6", "--outfile", out]
        done = run(TOOLS / "bin" / "cyclonedx-py", "requirements", "--pyproject", component, *how, "requirements.lock")
        assert done.returncode == 0, done.stderr
        made.append(out.read_text())
    assert made[0] == made[1]
    bill = json.loads(made[0])
    locked = set(re.findall(r"^([\w.-]+==\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {f"{one['name']}=={one['version']}" for one in bill["components"]} == locked
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])
    assert bill["metadata"]["component"]["version"] == __version__


def test_ci_tests_each_python_and_the_oldest_dependencies():
    jobs = (GITHUB / "workflows" / "ci.yml").read_text()
    declared = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    matrix = re.search(r"python: (\[.*\])", jobs)
    assert matrix is not None
    assert yaml.safe_load(matrix[1]) == declared
    assert "./dev oldest" in jobs


def test_audit_covers_every_list_daily_and_per_pull_request():
    on = workflow("audit.yml")[True]  # YAML 1.1 reads `on` as a boolean
    assert isinstance(on, dict)
    assert {"pull_request", "schedule"} <= set(on)
    assert "run: ./dev audit" in (GITHUB / "workflows" / "audit.yml").read_text()
    audited = re.search(r'^audited="(.*)"$', (ROOT / "dev").read_text(), re.MULTILINE)
    assert audited is not None
    lists = {str(path.relative_to(ROOT)) for pattern in ("*.lock", "tests/repo/release/*.lock") for path in ROOT.glob(pattern)}
    # The oldest allowed dependencies are tested and not shipped; their weaknesses are known.
    assert set(audited[1].split()) == lists - {"tests/repo/release/oldest.lock"}


def test_oldest_list_holds_exactly_the_lower_bounds():
    bounds = re.findall(
        r'^  "([\w-]+)>=([\w.]+)"',
        (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[0],
        re.MULTILINE,
    )
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "tests" / "repo" / "release" / "oldest.lock").read_text(), re.MULTILINE))
    assert len(bounds) >= 8
    for name, bound in bounds:
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", pins[name]), name


def test_publishing_needs_approval_and_no_stored_secret():
    text = (GITHUB / "workflows" / "release.yml").read_text()
    assert "secrets." not in text
    jobs = workflow("release.yml")["jobs"]
    assert isinstance(jobs, dict)
    assert [name for name, job in jobs.items() if job.get("environment") != "release"] == ["test", "build", "attest"]


def test_signing_job_runs_no_program_of_the_repository():
    jobs = workflow("release.yml")["jobs"]
    assert isinstance(jobs, dict)
    assert [jobs[name]["permissions"] for name in ("test", "build")] == [{"contents": "read"}] * 2
    assert [step for step in jobs["attest"]["steps"] if "run" in step] == []
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "test": None,
        "build": "test",
        "attest": "build",
        "packages": "attest",
        "image": "attest",
        "release": ["packages", "image"],
    }


def copied(place: Path, born: int) -> Path:
    """Return a copy of the inputs of deploy/assets.py with other file times."""
    for name in (".", "alerts", "dashboards", "deploy", "docs"):
        (place / name).mkdir(parents=True, exist_ok=True)
    for name in ("alerts", "dashboards", "deploy"):
        shutil.copytree(ROOT / name, place / name, symlinks=True, dirs_exist_ok=True)
    shutil.copy(ROOT / "requirements.lock", place)
    shutil.copy(ROOT / "docs" / "ekm.schema.json", place / "docs")
    for path in place.rglob("*"):
        os.utime(path, (born, born), follow_symlinks=False)
    return place


@pytest.mark.tools
def test_release_assets_are_complete_and_reproducible(tmp_path):
    made = []
    for number, born in enumerate((1_700_000_000, 1_750_000_000)):
        tree, out = copied(tmp_path / f"tree{number}", born), tmp_path / f"out{number}"
        out.mkdir()
        done = run(TOOLS / "bin" / "python", tree / "deploy" / "assets.py", out)
        assert done.returncode == 0, done.stderr
        made.append({path.name: path.read_bytes() for path in out.iterdir()})
    chart = f"ekm-exporter-{__version__}.tgz"
    assert set(made[0]) == {
        "requirements.lock",
        "ekm-exporter.service",
        "ekm-exporter.xml",
        "ekm.rules.yml",
        "ekm-native.rules.yml",
        "ekm.schema.json",
        chart,
    }
    assert made[0] == made[1]
    with tarfile.open(fileobj=io.BytesIO(made[0][chart])) as archive:
        packed = {name: archive.getmember(name) for name in archive.getnames()}
    assert {
        "ekm-exporter/values.schema.json",
        "ekm-exporter/files/ekm-fleet.json",
        "ekm-exporter/templates/workload.yaml",
    } <= set(packed)
    assert all(one.isfile() and one.size for one in packed.values())
    assert "$tools/bin/python deploy/assets.py dist\n  (cd dist && sha256sum" in (ROOT / "dev").read_text()


def test_dependency_updates_wait_seven_days():
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "docker-compose", "npm"}
    places = {place for one in updates for place in one.get("directories", [one.get("directory")]) if place != "/"}
    assert all((ROOT / place.removeprefix("/")).is_dir() for place in places)
    assert (ROOT / "deploy" / "compose.yml").exists()
    assert all(one["cooldown"]["default-days"] >= 7 for one in updates)
    assert "--uploaded-prior-to ${COOLDOWN:-P7D}" in (ROOT / "dev").read_text()
