"""Every alert in front of Prometheus' own rule engine: silent before, firing with the right words, over afterwards."""

import subprocess
from collections import defaultdict

import pytest
import yaml

from alerts.build import RULES
from exporter.metrics.definitions import BY_NAME
from tests.system.alerts.case import GROUPS, document
from tests.system.alerts.cases import common, ends, keys, pages, spikes, tickets
from tests.system.alerts.promtool import results
from tests.system.alerts.texts import rendered, reviewed

SCENES = {scene.name: scene for table in (spikes, pages, common, tickets, keys, ends) for scene in table.SCENES}
FILES = {name: f"scene{number:02}" for number, name in enumerate(SCENES)}
GROUPS_OF_RULES = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"] for group in GROUPS_OF_RULES for rule in group["rules"] if "alert" in rule}
ALWAYS = {"EkmWatchdog"}
# Prometheus' own, and those of the labels of a target or an instance that users choose.
FREE = {"job", "instance", "team", "env", "__name__", "le"}


@pytest.fixture(scope="session")
def said(tmp_path_factory):
    """What promtool says of every scene: one run for all of them."""
    place = tmp_path_factory.mktemp("scenes")
    for name, scene in SCENES.items():
        text = yaml.dump(document(scene, str(RULES)), Dumper=yaml.CSafeDumper, width=10**6)
        (place / f"{FILES[name]}.yml").write_text(text)
    return results(sorted(place.glob("*.yml")))


@pytest.mark.real
@pytest.mark.parametrize("name", SCENES)
def test_what_fires_and_what_does_not_is_as_written(said, name):
    assert said[FILES[name]] == ""


@pytest.mark.real
def test_promtool_is_awake(tmp_path):
    """The same scene with one letter changed in what is expected must fail."""
    scene = next(scene for scene in SCENES.values() if scene.name == "a target without labels")
    text = yaml.safe_dump(document(scene, str(RULES)), width=10**6).replace("EkmForbiddenSpike", "EkmForbiddenSpikes")
    (tmp_path / "wrong.yml").write_text(text)

    assert "FAILED" in results([tmp_path / "wrong.yml"])["wrong"]


@pytest.mark.real
def test_promtool_finds_nothing_to_say_about_the_rules():
    done = subprocess.run(  # noqa: S603 - nothing from outside the tests
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES],  # noqa: S607 - found on the PATH, as a user would
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def checks_by_alert():
    """Per alert and scene, in order of time: whether it must fire."""
    found = defaultdict(list)
    for scene in SCENES.values():
        for second, alert, fired in sorted(scene.checks, key=lambda check: check[0]):
            found[alert, scene.name].append((second, bool(fired)))
    return found


def test_every_alert_is_shown_firing():
    assert {alert for (alert, _), checks in checks_by_alert().items() if any(fires for _, fires in checks)} == ALERTS


def test_every_alert_is_shown_silent_before_and_over_afterwards():
    told = set()
    for (alert, _), checks in checks_by_alert().items():
        fires = [fires for _, fires in checks]
        if True in fires and not fires[0] and not fires[-1]:
            told.add(alert)
    assert told == ALERTS - ALWAYS


def test_every_alert_has_a_series_beside_it_that_must_not_make_it_fire():
    """In each scene in which an alert fires there is another target or exporter, or another scene in which it must not."""
    never = {alert for scene in SCENES.values() for alert in scene.absent}
    beside = {
        alert
        for scene in SCENES.values()
        for _, alert, fired in scene.checks
        if fired and sum(len(exporter.targets) for exporter in scene.exporters) > len(fired)
    }
    assert (never | beside) - ALWAYS == ALERTS - ALWAYS


@pytest.mark.real
def test_texts_of_every_alert_are_those_that_were_reviewed(tmp_path):
    texts = rendered(list(SCENES.values()), tmp_path)

    assert set(texts) == set(reviewed()) == ALERTS
    for alert, text in texts.items():
        assert text == reviewed()[alert], f"{alert}: run python -m tests.system.alerts.texts and read the difference"


def test_groups_are_evaluated_in_the_order_of_the_file():
    assert [group["name"] for group in GROUPS_OF_RULES] == GROUPS


def test_the_scenes_show_series_as_the_exporter_has_them():
    """A scene with a misspelt label would prove nothing."""
    strange = []
    for scene in SCENES.values():
        [test] = document(scene, str(RULES))["tests"]
        for one in test["input_series"]:
            name, _, labels = one["series"].partition("{")
            spec = BY_NAME.get(name) or BY_NAME.get(name.rsplit("_", 1)[0])
            own = {pair.partition("=")[0] for pair in labels.removesuffix("}").split('",') if pair}
            if name not in ("up", "process_start_time_seconds") and (
                spec is None or (own ^ set(spec.labels)) - FREE - not_all(name)
            ):
                strange.append(one["series"])
    assert strange == []


def not_all(name):
    """An instance has the labels that somebody gave it."""
    return {"host", "ag", "sql_instance"} if name == "ekm_instance_info" else set()
