"""The plan of an installation: what changes, and what happens to the process."""

from dataclasses import replace

import pytest

from exporter.windows.rules import Action, Change, Existing, ServiceDefinition, ServiceSettings, Wanted, make_plan

SERVICE = ServiceDefinition(name="ekm", command='"p" run', account=r"NT SERVICE\ekm")
SETTINGS = ServiceSettings(name="ekm", version="1", prometheus=("10.1.2.3",))
NOTHING = Existing(service=None, settings=None, is_running=False)
RUNNING = Existing(service=SERVICE, settings=SETTINGS, is_running=True)
WANTED = Wanted(service=SERVICE, settings=SETTINGS, changed_files=(), has_configuration=True, start=True)
ELSEWHERE = replace(SERVICE, command='"p" run --web.listen-address :1')


def test_first_installation_changes_everything_and_starts():
    plan = make_plan(NOTHING, replace(WANTED, changed_files=("ekm.yml", "secrets/a")))
    assert plan.changes == (
        Change.PROGRAM,
        Change.SERVICE,
        Change.CONFIGURATION,
        Change.SECRETS,
        Change.FIREWALL,
        Change.START,
    )
    assert plan.action is Action.START


def test_second_installation_changes_nothing():
    plan = make_plan(RUNNING, WANTED)
    assert (plan.changes, plan.action) == ((), Action.NOTHING)


@pytest.mark.parametrize(
    ("changed", "changes", "action"),
    [
        ({"service": ELSEWHERE}, (Change.SERVICE,), Action.RESTART),
        ({"service": replace(SERVICE, account=r"D\m$")}, (Change.SERVICE,), Action.RESTART),
        ({"service": replace(SERVICE, account=r"nt service\EKM")}, (), Action.NOTHING),
        ({"settings": replace(SETTINGS, version="2")}, (Change.PROGRAM,), Action.RESTART),
        ({"settings": replace(SETTINGS, prometheus=())}, (Change.FIREWALL,), Action.NOTHING),
        ({"settings": replace(SETTINGS, address=":1"), "service": ELSEWHERE}, (Change.SERVICE, Change.FIREWALL), Action.RESTART),
        ({"changed_files": ("targets.d/a.yml",)}, (Change.CONFIGURATION,), Action.RELOAD),
        ({"changed_files": ("secrets/a",)}, (Change.SECRETS,), Action.NOTHING),
        ({"changed_files": ("ekm.yml",), "start": False}, (Change.CONFIGURATION,), Action.NOTHING),
        ({"service": ELSEWHERE, "start": False}, (Change.SERVICE,), Action.NOTHING),
    ],
)
def test_running_service_gets_what_has_changed(changed, changes, action):
    plan = make_plan(RUNNING, replace(WANTED, **changed))
    assert (plan.changes, plan.action) == (changes, action)


def test_stopped_service_is_started():
    plan = make_plan(replace(RUNNING, is_running=False), WANTED)
    assert (plan.changes, plan.action) == ((Change.START,), Action.START)


def test_service_without_a_configuration_is_not_started():
    plan = make_plan(NOTHING, replace(WANTED, has_configuration=False, settings=replace(SETTINGS, prometheus=())))
    assert (plan.changes, plan.action) == ((Change.PROGRAM, Change.SERVICE), Action.NOTHING)
