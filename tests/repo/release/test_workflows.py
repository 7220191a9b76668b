"""Workflows and image pass their linters; the release workflow signs what it publishes."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / ".cache" / "tools"
GITHUB = ROOT / ".github"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    # Programs of the locked list, files of this project.
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - no outside input commands


def workflow(name: str) -> Any:
    return yaml.safe_load((GITHUB / "workflows" / name).read_text())


NAMES = ["audit.yml", "build.yml", "ci.yml", "release.yml"]


@pytest.fixture(scope="module")
def mistakes() -> dict[str, list[str]]:
    """The messages of actionlint for each workflow."""
    paths = [GITHUB / "workflows" / name for name in NAMES]
    package = TOOLS / "node_modules" / "@tktco" / "node-actionlint"
    done = run("node", Path(__file__).with_name("actionlint.mjs"), package, *paths)
    assert done.returncode == 0, done.stderr
    return {path.name: found for path, found in zip(paths, json.loads(done.stdout), strict=True)}


@pytest.mark.tools
@pytest.mark.parametrize("name", NAMES)
def test_actionlint_accepts_the_workflow(mistakes, name):
    assert mistakes[name] == []


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


def test_ci_tests_each_python_and_the_oldest_dependencies():
    jobs = (GITHUB / "workflows" / "ci.yml").read_text()
    declared = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    matrix = re.search(r"python: (\[.*\])", jobs)
    assert yaml.safe_load(matrix[1]) == declared
    assert "./dev oldest" in jobs
    assert "./dev prometheus" in jobs


def test_audit_covers_every_list_daily_and_per_pull_request():
    on = workflow("audit.yml")[True]  # YAML 1.1 reads `on` as a boolean
    assert {"pull_request", "schedule"} <= set(on)
    assert "run: ./dev audit" in (GITHUB / "workflows" / "audit.yml").read_text()
    audited = re.search(r'^audited="(.*)"$', (ROOT / "dev").read_text(), re.MULTILINE)
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


def test_publishing_needs_approval_and_no_stored_secret_but_the_certificate_for_windows():
    jobs = workflow("release.yml")["jobs"]
    used = {name: set(re.findall(r"secrets\.(\w+)", str(job))) for name, job in jobs.items()}
    assert {name: found for name, found in used.items() if found} == {
        "sign": {"WINDOWS_CERTIFICATE", "WINDOWS_CERTIFICATE_PASSWORD"}
    }
    assert [name for name, job in jobs.items() if job.get("environment") != "release"] == ["test", "build", "attest"]


def test_signing_jobs_run_no_program_of_the_repository():
    jobs = workflow("release.yml")["jobs"]
    assert [jobs[name]["permissions"] for name in ("test", "build")] == [{"contents": "read"}] * 2
    assert [step for step in jobs["attest"]["steps"] if "run" in step] == []
    assert jobs["sign"]["permissions"] == {}
    assert [step["uses"] for step in jobs["sign"]["steps"] if "checkout" in step.get("uses", "")] == []
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "test": None,
        "build": "test",
        "sign": "build",
        "attest": ["build", "sign"],
        "packages": "attest",
        "image": "attest",
        "chart": "attest",
        "release": ["sign", "packages", "image", "chart"],
    }


def test_release_signs_origin_and_bill_of_materials_of_files_and_image():
    jobs = workflow("release.yml")["jobs"]
    signed = {
        name: [step["with"] for step in jobs[name]["steps"] if step.get("uses", "").startswith("actions/attest-")]
        for name in ("attest", "image")
    }
    assert signed["attest"][0] == {"subject-path": "dist/*"}
    name = "dist/ekm-exporter-${{ needs.build.outputs.version }}"
    assert [one["sbom-path"] for one in signed["attest"][1:]] == [f"{name}.cdx.json", f"{name}-windows-amd64.cdx.json"]
    assert [one.get("sbom-path") for one in signed["image"]] == [None, "image.cdx.json"]
    assert len({one["subject-digest"] for one in signed["image"]}) == 1


def test_unsigned_msi_is_released_with_a_note():
    jobs = workflow("release.yml")["jobs"]
    (sign,) = [step for step in jobs["sign"]["steps"] if "run" in step]
    assert set(sign["env"]) == {"CERTIFICATE", "PASSWORD"}
    assert '[ -z "$CERTIFICATE" ]' in sign["run"]
    publish = jobs["release"]["steps"][-1]
    assert "$NOTE" in publish["run"]
    assert publish["env"]["NOTE"] == "${{ needs.sign.outputs.note }}"
    assert {
        step["with"]["name"]
        for job in ("attest", "packages", "release")
        for step in jobs[job]["steps"]
        if "download" in str(step)
    } == {"signed"}


def test_dependency_updates_wait_seven_days():
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "docker-compose", "npm"}
    places = {place for one in updates for place in one.get("directories", [one.get("directory")]) if place != "/"}
    assert all((ROOT / place.removeprefix("/")).is_dir() for place in places)
    assert (ROOT / "deploy" / "compose.yml").exists()
    assert all(one["cooldown"]["default-days"] >= 7 for one in updates)
    assert "--uploaded-prior-to ${COOLDOWN:-P7D}" in (ROOT / "dev").read_text()
