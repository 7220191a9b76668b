"""Targets, reports and auxiliary results for the tests of pages, API and texts."""

from exporter.config.settings import Module, Retained, SecretSource
from exporter.core.values import Facts, Fault, Outcome, Phase, Readiness, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import AuxiliaryKind, AuxiliaryResult
from tests.support import factories
from tests.support.values import replace

STARTED = 1767323045.678  # 2026-01-02T03:04:05.678Z
VERSION = "cgacf4f763ar42ffb0a1gca546aygd87"


def target(name="contoso-key0", **changes):
    values = {
        "vault": "contoso-prod.vault.azure.net",
        "key_name": "ContosoRSAKey0",
        "key_version": VERSION,
        "credential": "sql-prod",
        "labels": {"team": "dba"},
        "instances": ({"sql_instance": "SQLPRD01", "ag": "AG7"}, {"sql_instance": "SQLPRD02"}),
    }
    return factories.a_target(name, **(values | changes))


def config(*targets, settings=None, modules=None):
    credential = factories.a_credential("sql-prod", client_id="66666666", secret=SecretSource(env="SQL_PROD"))
    modules = modules.values() if modules else (Module(name="default"), Module(name="other"))
    return factories.a_config(*(targets or (target(),)), credentials=(credential,), modules=modules, settings=settings)


def key():
    return factories.a_key(
        name="ContosoRSAKey0", version=VERSION, kid="https://x/keys/a/b", expires=1800000000.0, key_ops=("wrapKey", "unwrapKey")
    )


def good(name="contoso-key0", *, started_at=STARTED):
    steps = tuple(StepResult(step=step, outcome=Outcome.OK, duration=0.02, facts=_facts()) for step in Step)
    return ProbeReport(
        target=name, started_at=started_at, duration=0.1, steps=steps, readiness=Readiness(ready=True, why="ready"), key=key()
    )


def bad(
    name="contoso-key0", *, step=Step.TOKEN, code=3303, reason=Reason.SECRET_EXPIRED, started_at=STARTED, ready=False, **facts
):
    """A report with a failure at `step`. Earlier steps succeed, later ones are skipped."""
    order = list(Step)
    shown = {"fault": Fault.HTTP_STATUS, "status": 401, "service_code": "invalid_client", "aadsts": 7000222, "request_id": "r-1"}
    failed = StepResult(
        step=step, outcome=Outcome.FAILED, duration=0.2, code=code, reason=reason, facts=_facts(**(shown | facts))
    )
    before = [StepResult(step=each, outcome=Outcome.OK, duration=0.02, facts=_facts()) for each in order[: order.index(step)]]
    after = [StepResult(step=each, outcome=Outcome.SKIPPED) for each in order[order.index(step) + 1 :]]
    why = "not_ready" if ready is False else "ready"
    return ProbeReport(
        target=name,
        started_at=started_at,
        duration=0.3,
        steps=(*before, failed, *after),
        readiness=Readiness(ready=ready, why=why),
    )


def wrap_and_unwrap_failed():
    """A report with an expired key for wrap and a disabled one for unwrap."""
    reasons = {Step.WRAP_KEY: Reason.KEY_EXPIRED, Step.UNWRAP_KEY: Reason.KEY_DISABLED}
    steps = tuple(
        replace(each, outcome=Outcome.FAILED, code=3077, reason=reasons[each.step]) if each.step in reasons else each
        for each in good().steps
    )
    return replace(good(), steps=steps, readiness=Readiness(ready=False, why="not_ready"))


def _facts(**values):
    shown = {"phases": {Phase.DNS: 0.001, Phase.WAIT: 0.01}, "phase_reached": Phase.TRANSFER, "endpoint": "contoso:443"}
    return Facts(**(shown | values))


STAGED, OLD, DR = "sql-prod-2027", "0123456789abcdef0123456789abcdef", "contoso-dr.vault.azure.net"


def fully_declared(**changes):
    """A target with every auxiliary probe that a configuration can declare."""
    kept = Retained(key_name="ContosoRSAKey0", key_version=OLD, vault="contoso-prod.vault.azure.net", credential="sql-prod")
    declared = {"next_credential": STAGED, "retained_versions": (kept,), "recovery_vault": DR}
    return target(**(declared | changes))


def fully_declared_config(*, module=None, **changes):
    made = config(fully_declared(**changes), modules={"default": module or Module(name="default")})
    return replace(made, credentials={name: replace(made.credentials["sql-prod"], name=name) for name in ("sql-prod", STAGED)})


def auxiliary_result(what, *, usable=True, at=STARTED, steps=(), **changes):
    names = {
        AuxiliaryKind.NEXT: STAGED,
        AuxiliaryKind.RETAINED: f"ContosoRSAKey0/{OLD}",
        AuxiliaryKind.RECOVERY: DR,
        AuxiliaryKind.NEWEST: "ContosoRSAKey0",
    }
    values = {
        "name": names[what],
        "vault": DR if what is AuxiliaryKind.RECOVERY else "contoso-prod.vault.azure.net",
        "credential": STAGED if what is AuxiliaryKind.NEXT else "sql-prod",
    }
    return AuxiliaryResult(kind=what, usable=usable, at=at, steps=steps, **(values | changes))


def refused_auxiliary(what, *, usable=False, **failure):
    """An auxiliary probe with a failed step; by default the credential is refused."""
    return auxiliary_result(what, usable=usable, steps=bad(**failure).steps)


def pending_auxiliary():
    """The vault has a newer version than the pinned one."""
    return auxiliary_result(AuxiliaryKind.NEWEST, key=replace(key(), version="f" * 32))
