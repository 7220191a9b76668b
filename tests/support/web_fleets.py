"""Fleets of any size for pages: three causes, one change of a firewall, one vault that throttles, and a start."""

from datetime import UTC, datetime
from functools import partial

from exporter.config.settings import Config, Credential, SecretSource
from exporter.core.values import CredentialKind, Fault, Step
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.sqlserver.document import RegistryUri
from exporter.sqlserver.reading import SqlServerReading
from exporter.state.record import RECENT
from tests.support.sql_readings import a_reading, with_growing_logs
from tests.support.values import replace
from tests.support.web_factories import auxiliary_result, bad, good, key, target
from tests.support.web_factories import config as config_of
from tests.support.web_server import Service

DAY, MINUTE = 86400.0, 60.0
SECRET = "sql-prod"  # the broken credential
_APPS = ("sales", "billing", "payroll", "stock", "crm", "archive", "web", "reports")
_CREDENTIALS = (SECRET, "sql-finance", "sql-archive", "sql-web")
_OUTAGE, _REFUSED, _WRAPLESS = 37 * MINUTE, 125 * MINUTE, 11 * MINUTE  # ages
_CHANGE, _CHANGED = 31 * MINUTE, 27 * MINUTE  # the age of a change, and how long it took to reach every vault
_STEPS = (Step.CHALLENGE, Step.GET_KEY, Step.UNWRAP_KEY)
_SINCE = {"secret": _OUTAGE, "policy": _REFUSED, "key": _WRAPLESS}


def three_causes(count: int, now: float) -> Service:
    """Return the service of `count` targets at `now`, a Unix time; the last probes are fresh."""
    targets = [_target(number, count) for number in range(count)]
    service = Service(_config(targets))
    for number, each in enumerate(targets):
        _probed(service, each, now - 2 - number % 50, now)
    ends = {
        "sql-prod": -_OUTAGE,
        "sql-prod-2027": 330 * DAY,
        "sql-finance": 97 * DAY,
        "sql-archive": 8.4 * DAY,
        "sql-web": 203 * DAY,
    }
    service.ends = {name: (_end(name, now + left, now),) for name, left in ends.items()}
    return service


def probe_again(service: Service, now: float) -> None:
    """Record another probe of each target, with the same outcome."""
    for number, name in enumerate(service.config.targets):
        service.add_reports(replace(service.record_of(name).last, started_at=now - 1 - number % 50))


def all_silent(count: int, now: float) -> Service:
    """Return the service of `count` targets whose vaults do not answer: one cause."""
    targets = [_target(number, count) for number in range(count)]
    service = Service(_config(targets))
    silent = {
        "step": Step.CHALLENGE,
        "code": 3008,
        "reason": Reason.CONNECT_TIMEOUT,
        "fault": Fault.CONNECT_TIMEOUT,
        "status": None,
    }
    service.add_reports(*(bad(each.name, started_at=now - 2, **silent) for each in targets))
    return service


def refusing_vaults(count: int, now: float) -> Service:
    """Return the service of `count` targets; half of the vaults refuse the credential, one at another step, and one has no key."""
    targets = [replace(_target(number, 0), vault=f"contoso-production-{number:05}.vault.azure.net") for number in range(count)]
    service = Service(_config(targets))
    for number, each in enumerate(targets):
        step = Step.UNWRAP_KEY if number == 3 else Step.GET_KEY
        missing = bad(each.name, step=step, code=3006, reason=Reason.KEY_NOT_FOUND, started_at=now - 2, status=404)
        refused = _failed(each.name, "policy", now - 2 - number % 50, step=step)
        service.add_reports(
            missing if number == 1 else refused if number == 3 or number % 2 == 0 else good(each.name, started_at=now - 2)
        )
    return service


def changed_vaults(count: int) -> int:
    """Return how many vaults of a fleet a change of the firewall reaches."""
    return 6 if count < 40 else 40


def firewall_change(count: int, now: float) -> Service:
    """Return the service of `count` targets after one change that closed the firewall of several vaults.

    The change took half an hour. Every fourth of these vaults has two keys. They refuse at different steps and have several
    credentials. Two of the targets come and go: another address of the exporter is still allowed.
    """
    vaults = changed_vaults(count)
    hit = [number for number in range(vaults) for _ in range(2 if number % 4 == 0 else 1)]
    targets = [_target(number, 0) for number in range(count)]
    targets[: len(hit)] = [replace(each, vault=_vault(number)) for each, number in zip(targets, hit, strict=False)]
    service = Service(_config(targets))
    for number, each in enumerate(targets):
        last, began = now - 2 - number % 50, now - _CHANGE + _CHANGED * hit[number] / (vaults - 1) if number < len(hit) else 0
        refused = partial(_refused, each.name, _STEPS[number % 3])
        if number < len(hit) - 2:
            _steady(service, each, began, refused(began), refused(last))
        elif number < len(hit):
            _waves(service, each, last, refused)
        else:
            service.add_reports(good(each.name, started_at=last))
    return service


def throttled_vault(count: int, now: float) -> Service:
    """Return the service of `count` targets, three of them keys of one vault that throttles in waves."""
    targets = [_target(number, 0) for number in range(count)]
    targets[:3] = [replace(each, vault=_vault(0)) for each in targets[:3]]
    service = Service(_config(targets))
    for number, each in enumerate(targets):
        last = now - 2 - number % 50
        if number < 3:
            _waves(service, each, last, partial(_throttled, each.name))
        else:
            service.add_reports(good(each.name, started_at=last))
    return service


def nothing_known(count: int, _now: float) -> Service:
    """Return the service of `count` targets that has just started."""
    service = Service(_config([_target(number, 0) for number in range(count)]))
    service.ready = False
    return service


def failing_server(service: Service, name: str, now: float) -> SqlServerReading:
    """Return the reading of a target's first SQL Server: its backups fail, and its log fills."""
    own, at = service.config.targets[name], datetime.fromtimestamp(now - 5 * MINUTE, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    errors = [{"code": code, "lines": 3, "first_utc": at, "last_utc": at} for code in ("3303", "18204")]
    names = {each: own.instances[0][each] for each in ("sql_instance", "host")}
    reading = with_growing_logs(a_reading(address=name, attempted_at=now, sections={"errors": errors}, **names))
    uri = f"https://{own.vault}/keys/{own.key_name}/{own.key_version}"
    uris = (RegistryUri("0x2c56", uri),)
    return replace(reading, document=replace(reading.document, key_uris=uris), read_at=dict.fromkeys(reading.read_at, now))


def cause_of(number: int, count: int) -> str | None:
    """Return the cause of a target's failure; a quarter of the fleet has the expired secret."""
    if number in (1, 2):
        return ("policy", "key")[number - 1]
    return "secret" if number < 3 + count // 4 and number else None


def _vault(number: int) -> str:
    return f"contoso-v{number:04}.vault.azure.net"


def _target(number: int, count: int):
    app = _APPS[number % len(_APPS)]
    credential = SECRET if cause_of(number, count) == "secret" else _CREDENTIALS[1 + number % 3]
    servers = [f"SQL{number * 2:04}-{n}" for n in range(6)] if number == 1 else [f"SQL{number * 2 + n:04}" for n in range(2)]
    return target(
        f"{app}-{number:04}", vault=_vault(number), credential=credential,
        next_credential="sql-prod-2027" if credential == SECRET else None, labels={"env": "prod", "team": "dba"},
        instances=tuple({"sql_instance": name, "host": name.replace("SQL", "n"), "ag": f"AG{number // 8}"} for name in servers),
    )  # fmt: skip


def _config(targets) -> Config:
    secrets = {
        name: Credential(name=name, kind=CredentialKind.CLIENT_SECRET, client_id="66666666", secret=SecretSource(env="SQL"))
        for name in (*_CREDENTIALS, "sql-prod-2027")
    }
    return replace(config_of(*targets), credentials=secrets)


def _probed(service: Service, each, last: float, now: float) -> None:
    number, count = int(each.name.rpartition("-")[2]), len(service.config.targets)
    cause = cause_of(number, count)
    age = _SINCE.get(cause or "", 0.0)
    expires = now + (21.3 if number == 4 else 120 + number % 400) * DAY
    shown = replace(key(), expires=expires)
    service.add_reports(replace(good(each.name, started_at=now - age - 9 * DAY), key=shown))
    record = service.record_of(each.name)
    record.recent = "r" * RECENT
    if cause is None:
        service.add_reports(replace(good(each.name, started_at=last), key=shown))
        return
    failed = int(min(age / each.interval, RECENT))
    record.recent = "r" * (RECENT - failed)
    service.add_reports(replace(good(each.name, started_at=now - age - each.interval), key=shown))
    service.add_reports(*(_failed(each.name, cause, at) for at in (now - age, last)))
    record.recent = ("r" * (RECENT - failed) + ("f" if cause == "key" else "n") * failed)[-RECENT:]
    if cause == "secret":
        service.add_auxiliary(auxiliary_result(AuxiliaryKind.NEXT, at=last, vault=each.vault), name=each.name)


def _steady(service: Service, each, began: float, *failures) -> None:
    """Record a ready target and then its failures, the first at `began`, as if they were many."""
    service.add_reports(*(good(each.name, started_at=began - before) for before in (9 * DAY, each.interval)))
    service.record_of(each.name).recent = "r" * RECENT
    service.add_reports(*failures)
    failed = int(min((failures[-1].started_at - began) / each.interval, RECENT))
    service.record_of(each.name).recent = "r" * (RECENT - failed) + "n" * failed


def _waves(service: Service, each, last: float, failure) -> None:
    """Record forty probes, the last at `last`: three waves of failures, and a ready one now."""
    letters = "rrrrrnnnnrrrrrrrrnnnnnrrrrrrrrrrnnnnnrrr"
    times = (last - each.interval * ago for ago in range(len(letters) - 1, -1, -1))
    reports = zip(letters, times, strict=True)
    service.add_reports(*(failure(at=at) if letter == "n" else good(each.name, started_at=at) for letter, at in reports))


def _refused(name: str, step: Step, at: float):
    shown = {"service_code": "Forbidden", "status": 403, "aadsts": None, "client_address": "20.9.8.7"}
    return bad(name, step=step, code=3077, reason=Reason.FORBIDDEN_FIREWALL, started_at=at, **shown)


def _throttled(name: str, at: float):
    return bad(name, step=Step.GET_KEY, code=3011, reason=Reason.THROTTLED, started_at=at, status=429, aadsts=None)


def _failed(name: str, cause: str, at: float, *, step: Step = Step.UNWRAP_KEY):
    if cause == "policy":
        refused = {
            "service_code": "Forbidden",
            "status": 403,
            "aadsts": None,
            "client_id": "66666666-7777-8888-9999-000000000000",
        }
        return bad(name, step=step, code=3077, reason=Reason.FORBIDDEN_POLICY, started_at=at, **refused)
    if cause == "key":
        return bad(name, step=Step.WRAP_KEY, code=3077, reason=Reason.KEY_EXPIRED, ready=True, started_at=at, status=403)
    return bad(name, started_at=at)


def _end(name: str, at: float, now: float) -> CredentialExpiry:
    return CredentialExpiry(credential=name, source=Source.GRAPH, expires_at=at, looked_up_at=now - 240)
