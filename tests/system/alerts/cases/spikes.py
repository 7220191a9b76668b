"""Spikes: throttled and forbidden, in both generations, through restarts and lost scrapes."""

from tests.support.values import replace
from tests.system.alerts.case import RuleCase, at, target_metric
from tests.system.alerts.timeline import NOT_PROBED, OK, Exporter, Failed, Target

MINUTE, HOUR = 60, 3600
FORBIDDEN = Failed("unwrap_key", 3077, "forbidden_rbac")
THROTTLED = Failed("get_key", 3011, "throttled")
CURRENT = {"generation": "current"}
COUNTERPART = {3077: 3113, 3011: 3109}


def counterpart(failure: Failed) -> Failed:
    return replace(failure, code=COUNTERPART[failure.code])


def _sustained(name: str, alert: str, failure: Failed) -> RuleCase:
    """Ten good probes, five bad ones, good ones again; a target of each generation. Other intervals are in the matrix."""
    classic = Target(probes=[*[OK] * 10, *[failure] * 5, *[OK] * 28])
    current = Target(name="billing-2", info=CURRENT, probes=[*[OK] * 10, *[counterpart(failure)] * 5, *[OK] * 28])
    exporter = Exporter(targets=[classic, current])
    on = [target_metric(exporter, classic), target_metric(exporter, current)]
    # Two bad probes are not a spike; a vault that always fails pages within four intervals.
    checks = at(alert, {9: [], 11: [], 13: on, 14: on, 41: []})
    return RuleCase(name=name, exporters=[exporter], length=41 * MINUTE, checks=checks)


def _comes_and_goes() -> list[RuleCase]:
    """One of four probes is refused, never two in a row."""
    probes = [*[OK] * 10, *[FORBIDDEN, OK, OK, OK] * 8, *[OK] * 40]
    target = Target(probes=probes)
    rare = Target(name="rare", probes=[*[OK] * 10, *[FORBIDDEN, *[OK] * 14] * 5, OK])
    slow = Target(name="slow", interval=300, probes=[*[OK, FORBIDDEN] * 8, OK])
    exporter = Exporter(targets=[target, rare, slow])
    checks = [
        (10 * MINUTE, "EkmForbiddenSpike", []),
        (37 * MINUTE, "EkmForbiddenSpike", []),  # seven failures
        (40 * MINUTE, "EkmForbiddenSpike", [target_metric(exporter, target)]),
        (
            48 * MINUTE,
            "EkmForbiddenSpike",
            [target_metric(exporter, target), target_metric(exporter, slow)],
        ),
        (67 * MINUTE, "EkmForbiddenSpike", [target_metric(exporter, slow)]),
    ]
    absent = ["EkmVaultSideNotReady"]
    return [RuleCase(name="403 that comes and goes", exporters=[exporter], length=67 * MINUTE, checks=checks, absent=absent)]


def _half_throttled() -> RuleCase:
    half = Target(name="half", probes=[*[OK] * 10, *[THROTTLED, OK] * 8, *[OK] * 40])
    third = Target(name="third", probes=[*[OK] * 10, *[THROTTLED, OK, OK] * 10, *[OK] * 26])
    slow = Target(name="slow", interval=300, probes=[OK, OK, OK, *[THROTTLED, OK] * 5, *[OK] * 10])
    exporter = Exporter(targets=[half, third, slow])
    checks = at(
        "EkmThrottledSpike",
        {
            23: [],
            29: [target_metric(exporter, half)],
            34: [target_metric(exporter, target) for target in (half, third)],
            45: [target_metric(exporter, target) for target in (half, third)],
            58: [target_metric(exporter, target) for target in (third, slow)],
        },
    )
    return RuleCase(name="half of the answers are 429", exporters=[exporter], length=58 * MINUTE, checks=checks)


def _backing_off() -> RuleCase:
    """After the third 429 the exporter skips one interval, then two, then four. The verdict ends, the page stays."""
    probes = [*[OK] * 5, THROTTLED, THROTTLED, THROTTLED, NOT_PROBED, THROTTLED, NOT_PROBED, NOT_PROBED, THROTTLED]
    probes += [*[NOT_PROBED] * 4, THROTTLED, *[NOT_PROBED] * 4, THROTTLED, *[NOT_PROBED] * 4, *[OK] * 8]
    target = Target(interval=300, probes=probes)
    exporter = Exporter(targets=[target])
    on = target_metric(exporter, target)
    checks = [(second, "EkmThrottledSpike", [on]) for second in range(7 * 300, 28 * 300, 600)]
    return RuleCase(
        name="429 for hours, with the exporter backing off",
        exporters=[exporter],
        length=33 * 300,
        checks=[(20 * MINUTE, "EkmThrottledSpike", []), *checks, (33 * 300, "EkmThrottledSpike", [])],
        absent=["EkmTargetNotProbed", "EkmEveryProbeStale", "EkmExporterDown"],
    )


def _survives(name: str, **away: tuple[tuple[int, int], ...]) -> list[RuleCase]:
    """A firing alert survives 30 s or more without a scrape: it is not resolved and keeps its labels."""
    cases = []
    for interval in (60, 300):
        begin = 10 * interval
        spans = {kind: tuple((begin + off, begin + end) for off, end in spans) for kind, spans in away.items()}
        target = Target(interval=interval, probes=[*[OK] * 5, *[FORBIDDEN] * 30])
        exporter = Exporter(targets=[target], **spans)
        on = target_metric(exporter, target)
        checks = [(second, "EkmForbiddenSpike", [on]) for second in range(begin - 60, begin + 20 * MINUTE, 60)]
        cases.append(
            RuleCase(
                name=f"{name}, at {interval} s",
                exporters=[exporter],
                length=begin + 20 * MINUTE,
                checks=checks,
                absent=["EkmVaultSideNotReady"],
                scrape=15 if interval == 60 else 60,
            )
        )
    return cases


def _two_exporters() -> RuleCase:
    """Two exporters report one failure each. Other texts of a third exporter break no join and affect no other one."""
    target = Target(probes=[*[OK] * 5, *[FORBIDDEN] * 10, *[OK] * 30])
    one, two = Exporter(targets=[target]), Exporter(targets=[target], instance="mon2:10377")
    older = 'ekm_error_info{code="3077",symbol="ErrorHttpOperationForbidden",category="permission",owner="vault",summary="~",action="~"}'
    three = Exporter(instance="mon3:10377", more={older: "1x45"})
    on = [target_metric(exporter, target) for exporter in (one, two)]
    checks = at("EkmForbiddenSpike", {5: [], 8: on, 41: []})
    return RuleCase(name="two exporters on one vault", exporters=[one, two, three], length=41 * MINUTE, checks=checks)


def _only_the_key() -> RuleCase:
    """An expired key: wrap is refused with 3077, unwrap works. A ticket and no page, also after the date is extended."""
    expired = Failed("wrap_key", 3077, "key_expired", ready=True, unwraps=True)
    target = Target(probes=[*[OK] * 10, *[expired] * 15, *[OK] * 5])
    return RuleCase(
        name="only wrap is refused, because the key has expired",
        exporters=[Exporter(targets=[target])],
        length=30 * MINUTE,
        absent=["EkmForbiddenSpike", "EkmVaultSideNotReady", "EkmErrorBudgetBurns"],
    )


def _without_labels() -> RuleCase:
    """A target without team, env, region or SQL Servers still pages."""
    target = Target(labels={}, region=None, instances=(), probes=[*[OK] * 5, *[FORBIDDEN] * 5])
    exporter = Exporter(targets=[target])
    checks = at("EkmForbiddenSpike", {8: [target_metric(exporter, target)]})
    return RuleCase(name="a target without labels", exporters=[exporter], length=9 * MINUTE, checks=checks)


CASES = [
    _sustained("throttled", "EkmThrottledSpike", THROTTLED),
    _sustained("forbidden", "EkmForbiddenSpike", FORBIDDEN),
    *_comes_and_goes(),
    _half_throttled(),
    _backing_off(),
    *_survives("a restart of the exporter while firing", restarts=((5, 65),)),
    *_survives("scrapes lost while firing", gaps=((5, 65),)),
    _two_exporters(),
    _only_the_key(),
    _without_labels(),
]
