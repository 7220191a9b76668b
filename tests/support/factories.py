"""Targets, configurations, keys and reports."""

from __future__ import annotations

from exporter.config.settings import Config, Credential, Module, SecretSource, Settings, Target
from exporter.config.usage import probing_credentials
from exporter.core.values import CredentialKind, Facts, Fault, Generation, KeyFacts, Outcome, Readiness, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from tests.support.values import replace

DEFAULT = Module(name="default")


def a_target(name="payroll", **changes):
    written = {
        "vault": "contoso.vault.azure.net",
        "key_name": "TdeKey",
        "key_version": "0" * 32,
        "credential": "sql",
        "module": "default",
        "interval": 60.0,
        "timeout": 10.0,
        "generation": Generation.CLASSIC,
        "generation_declared": True,
    }
    return Target(name=name, **(written | changes))


def a_credential(name="sql", *, kind=CredentialKind.CLIENT_SECRET, file=None, **changes):
    return Credential(name=name, kind=kind, **({} if file is None else {"secret": SecretSource(file=file)}), **changes)


def a_config(*targets, credentials=(), modules=(), settings=None):
    """A configuration; credentials of targets that are not given have a client secret, and the default module exists."""
    used = {name: a_credential(name) for each in targets for name in probing_credentials(each)}
    return Config(
        settings=settings or Settings(),
        credentials=used | {each.name: each for each in credentials},
        modules={"default": DEFAULT} | {each.name: each for each in modules},
        targets={each.name: each for each in targets},
    )


def with_sql_servers(config, *servers):
    """The configuration, with these SQL Servers and no other."""
    return replace(config, sql_servers={server.address: server for server in servers})


def a_key(**changes):
    written = {"name": "TdeKey", "version": "0" * 32, "kid": "unused", "kty": "RSA", "size_bits": 2048, "modulus": b"n"}
    return KeyFacts(**(written | {"exponent": b"e", "enabled": True} | changes))


def a_fleet(count, **more):
    return [a_target(f"target-{number}", **more) for number in range(count)]


DISCARDED = Readiness(ready=None, why="not_measured", stolen=0.9)


def a_report(target="payroll", *steps, at=0.0, ready=True, **more):
    steps = steps or tuple(StepResult(step=step, outcome=Outcome.OK, duration=0.02, facts=Facts(status=200)) for step in Step)
    why = {True: "ready", False: "not_ready", None: "version_not_pinned"}[ready]
    return ProbeReport(target=target, started_at=at, duration=0.1, steps=steps, readiness=Readiness(ready=ready, why=why), **more)


def a_failure(target="payroll", *, step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN, at=0.0, ready=False, **facts):
    facts = {"fault": Fault.HTTP_STATUS, "status": 403} | facts
    failed = StepResult(step=step, outcome=Outcome.FAILED, duration=0.02, code=code, reason=reason, facts=Facts(**facts))
    skipped = tuple(StepResult(step=other, outcome=Outcome.SKIPPED) for other in Step if other is not step)
    return a_report(target, failed, *skipped, at=at, ready=ready)


def a_throttled_report(target="payroll", *, retry_after=None):
    return a_failure(target, code=3011, reason=Reason.THROTTLED, status=429, retry_after_seconds=retry_after)
