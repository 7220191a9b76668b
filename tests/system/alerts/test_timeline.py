"""The exporter of the cases says of incidents what the product says: both follow the same probes."""

from datetime import UTC, datetime

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from exporter.config.settings import MaintenanceWindow
from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from tests.support import metric_factories as made
from tests.system.alerts.timeline import OK, Exporter, Failed, Scraped, Target

FAMILIES = ("ekm_incident", "ekm_unsteady_failures_total")
PREFIXES = tuple(f"{name}{{".encode() for name in FAMILIES)
OUTCOMES = st.sampled_from(
    [
        OK,
        OK,
        Failed("challenge", 3900, "network_down"),
        Failed("challenge", 3900, "dns_not_found"),
        Failed("token", 3303, "secret_expired"),
        Failed("token", 3303, "secret_wrong"),
        Failed("token", 3900, "entra_unavailable"),
        Failed("get_key", 3077, "forbidden_rbac"),
        Failed("get_key", 3011, "throttled"),
        Failed("get_key", 3008, "read_timeout"),
        Failed("get_key", 3076, "key_soft_deleted"),
        Failed("wrap_key", 3077, "forbidden_rbac", ready=True, unwraps=True),
        Failed("wrap_key", 3077, "key_expired", ready=True, unwraps=True),
        Failed("unwrap_key", 3077, "forbidden_rbac", failed=("wrap_key",)),
    ]
)
# Runs of one outcome, after a good probe.
PROBES = st.lists(st.tuples(OUTCOMES, st.integers(1, 5)), max_size=4).map(
    lambda runs: (OK, *(outcome for outcome, count in runs for _ in range(count)))
)


@st.composite
def fleets(draw):
    shared = draw(st.booleans())
    common = draw(PROBES)
    windows = st.sampled_from([(), (), (120, 300), (0, 180)])
    return [
        Target(
            name=f"t{number}",
            vault=f"v{number}.vault.azure.net",
            interval=draw(st.sampled_from([60, 300])) if not shared else 60,
            probes=common if shared and draw(st.integers(0, 4)) else draw(PROBES),
            maintenance=draw(windows),
        )
        for number in range(draw(st.integers(1, 5)))
    ]


def report_of(target, number):
    outcome, at = target.probes[number], made.START + number * target.interval
    if outcome is OK:
        return made.a_report(
            target.name, ready=True, started_at=at, steps=[made.ok(Step.GET_KEY, vault=made.headers(target.region))]
        )
    steps = [made.failed(Step(step), outcome.code, Reason(outcome.reason)) for step in (outcome.step, *outcome.failed)]
    return made.a_report(target.name, ready=outcome.ready, started_at=at, steps=steps)


def own_target(target):
    begin, end = (datetime.fromtimestamp(made.START + at, UTC) for at in target.maintenance or (0, 0))
    windows = (MaintenanceWindow(begin, end),) if target.maintenance else ()
    return made.a_target(target.name, vault=target.vault, interval=target.interval, maintenance=windows)


def of_families(series):
    """The series, without the time at which an incident began: a change of the verdict begins it again."""
    return {(key, None if key[0] == "ekm_incident" else value) for key, value in series if key[0] in FAMILIES}


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(fleets())
def test_incidents_of_the_cases_are_those_of_the_recorder(fleet):
    recorder, scraped = made.a_recorder(*map(own_target, fleet)), Scraped(Exporter(targets=fleet), 60)
    for now in range(0, 60 * 16, 60):
        for target in fleet:
            number, rest = divmod(now, target.interval)
            if not rest and number < len(target.probes):
                known = {"next_probe_at": made.START + now + target.interval}
                made.probed(recorder, report_of(target, number), **known)
        lines = b"".join(line for line in made.scrape(recorder).splitlines(keepends=True) if line.startswith(PREFIXES))
        expected = of_families(((name, *sorted(labels)), value) for (name, labels), value in scraped.scrape(now).items())
        assert of_families(made.series(lines).items()) == expected
