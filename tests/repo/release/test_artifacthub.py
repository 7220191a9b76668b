"""The annotations of the packed chart have the fields that Artifact Hub documents."""

import pytest
import yaml

from docs.generators.site import ROOT
from exporter import __version__

CHART = (ROOT / "deploy" / "helm" / "ekm-exporter" / "Chart.yaml").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
CATEGORIES = {
    *("ai-machine-learning", "database", "integration-delivery", "monitoring-logging", "networking", "security", "storage"),
    "streaming-messaging",
}


@pytest.fixture
def artifacthub(deploy_module):
    return deploy_module("artifacthub")


@pytest.fixture
def chart(artifacthub):
    return yaml.safe_load(artifacthub.annotated(CHART, CHANGELOG, __version__))


@pytest.fixture
def annotations(chart):
    return {name.removeprefix("artifacthub.io/"): value for name, value in chart["annotations"].items()}


def test_annotations_are_texts_and_all_else_is_unchanged(chart, annotations):
    assert {name: kind for name, value in annotations.items() if (kind := type(value)) is not str} == {}
    assert {**chart, "annotations": 0} == {**yaml.safe_load(CHART), "annotations": 0}
    assert set(annotations) == {"category", "license", "prerelease", "changes", "images", "links"}
    assert annotations["category"] in CATEGORIES
    assert (annotations["license"], annotations["prerelease"]) == ("Apache-2.0", "false")


def test_changes_are_of_one_version_in_the_words_of_artifact_hub(artifacthub):
    changelog = "# Changelog\n\n## 0.3.0 / 2027-01-01\n\n- [CHANGE] a [page](b.md)\n- [BUGFIX] c\n\n## 0.2.0 / 2026-01-01\n\n- [FEATURE] d\n"
    assert artifacthub.changes(changelog, "0.3.0") == [
        {"kind": "changed", "description": "a"},
        {"kind": "fixed", "description": "c"},
    ]
    with pytest.raises(KeyError):
        artifacthub.changes(changelog.replace("BUGFIX", "BUG"), "0.3.0")


def test_workflow_replaces_the_account_in_each_address(artifacthub):
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert f's|{artifacthub.REPOSITORY}|${{GITHUB_REPOSITORY,,}}|"' in workflow
    text = artifacthub.annotated(CHART, CHANGELOG, __version__)
    assert all(line.count("OWNER") <= 1 for line in text.splitlines())
    assert text.count("OWNER") == text.count(artifacthub.REPOSITORY)
