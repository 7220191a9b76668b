"""The steps of a probe: order, failures, deadlines and internal errors."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from exporter.config.settings import Credential, Module
from exporter.core.values import (
    Challenge,
    CredentialKind,
    Facts,
    Fault,
    Generation,
    KeyFacts,
    Mode,
    Outcome,
    Step,
    TokenResult,
    Vantage,
)
from exporter.knowledge import answers
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import deciding_failure
from exporter.probing import round_trip, secrets
from exporter.probing.round_trip import Probe, ProbeRequest
from exporter.runtime.tasks import PoolExhausted
from tests.support.factories import a_target
from tests.support.tls_server import CHALLENGE, ENTRA, is_silent, keeps_open, writes
from tests.support.values import replace
from tests.unit.probing.harness import stalls_after_headers

# The steps of a probe: order, failures, deadlines and internal errors.

PARSED_CHALLENGE = Challenge(authority="https://login.microsoftonline.com", tenant="t", resource="https://vault.azure.net")
KEY = KeyFacts(
    name="k", version="v1", kid="https://x.vault.azure.net/keys/k/v1", kty="RSA", size_bits=2048, modulus=b"n", exponent=b"e"
)
TARGET = a_target("x", vault="x.vault.azure.net", key_name="k", key_version="v1", credential="c")
REQUEST = ProbeRequest(
    target=TARGET,
    module=Module(name="default"),
    credential=Credential(name="c", kind=CredentialKind.CLIENT_SECRET),
    vantage=Vantage.SQL_HOST,
    timeout=10,
)
REFUSED = Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="ForbiddenByPolicy")
OF_TOKEN, OF_CALLER = (f"{digit * 8}-0000-0000-0000-000000000000" for digit in "12")


@dataclass
class Clock:
    now: float = 1000.0
    stalls: list[tuple[float, float]] = field(default_factory=list)  # from, until

    def late_between(self, start, end):
        return sum(max(0.0, min(end, until) - max(start, begun)) for begun, until in self.stalls)

    def time(self):
        return 1_800_000_000.0 + self.now

    def monotonic(self):
        return self.now


@dataclass
class FakeVault:
    """A fake vault that wraps by reversing.

    `faults` are the failures of steps; each step takes `seconds`, or those of `lasting`.
    """

    clock: Clock
    faults: dict[Step, Facts | Exception] = field(default_factory=dict)
    key: KeyFacts = KEY
    seconds: float = 0.1
    lasting: dict[Step, float] = field(default_factory=dict)
    late: dict[Step, float] = field(default_factory=dict)  # the last seconds of steps, in which this host was too slow
    spoil: Callable[[bytes], bytes] = bytes
    requests: list[tuple[Step, float]] = field(default_factory=list)
    deleted: tuple[Facts, float | None] | Exception = (Facts(fault=Fault.HTTP_STATUS, status=404), None)
    deleted_lookups: list[str] = field(default_factory=list)

    async def deleted_key(self, token, name, *, deadline):
        assert (token, deadline) == ("t0ken", self.requests[0][1])
        self.deleted_lookups.append(name)
        if isinstance(self.deleted, Exception):
            raise self.deleted
        return self.deleted

    def _answer(self, step, deadline):
        self.requests.append((step, deadline))
        self.clock.now += self.lasting.get(step, self.seconds)
        self.clock.stalls.append((self.clock.now - self.late.get(step, 0.0), self.clock.now))
        fault = self.faults.get(step, Facts(status=200))
        if isinstance(fault, Exception):
            raise fault
        return fault

    async def challenge(self, *, deadline):
        facts = self._answer(Step.CHALLENGE, deadline)
        return facts, PARSED_CHALLENGE if facts.fault is Fault.NONE else None

    async def token(self, challenge, *, deadline):
        assert challenge is PARSED_CHALLENGE
        facts = self._answer(Step.TOKEN, deadline)
        return TokenResult(facts=facts, token="t0ken" if facts.fault is Fault.NONE else None, duration=self.seconds, shared=False)

    async def get_key(self, token, name, version, *, deadline):
        assert (token, name, version) == ("t0ken", "k", TARGET.key_version)
        facts = self._answer(Step.GET_KEY, deadline)
        return facts, self.key if facts.fault is Fault.NONE else None

    async def operate(self, step, token, key, algorithm, data, *, deadline):
        assert (token, key.version, algorithm, len(data)) == ("t0ken", "v1", "RSA-OAEP", 32)
        facts = self._answer(step, deadline)
        value = data[::-1] if step is Step.WRAP_KEY else self.spoil(data[::-1])
        return facts, value if facts.fault is Fault.NONE else None


@pytest.fixture(autouse=True)
def encryption(monkeypatch):
    """Encrypt locally by reversing, as the fake vault wraps."""
    monkeypatch.setattr(round_trip, "encrypt_locally", lambda _key, _algorithm, data: data[::-1])


async def probed(request=REQUEST, bugs=None, *, kind=FakeVault, parts=None, **changes):
    """The report of a probe and its vault; `parts` are other dependencies than the usual ones."""
    vault = kind(Clock(), **changes)
    usual = {
        "vault": vault,
        "tokens": vault.token,
        "clock": vault.clock,
        "on_internal_error": ([] if bugs is None else bugs).append,
    }
    return await Probe(request, **(usual | (parts or {}))).run(), vault


def outcomes(report):
    """One letter per step: o(k), f(ailed), s(kipped)."""
    return "".join(result.outcome.value[0] for result in report.steps)


async def test_good_probe_makes_five_steps_in_the_connectors_order():
    report, vault = await probed()
    assert [step for step, _ in vault.requests] == list(Step)
    assert (outcomes(report), report.success, report.readiness.ready) == ("ooooo", True, True)
    assert report.duration == pytest.approx(0.5)
    assert [result.duration for result in report.steps] == [pytest.approx(0.1)] * 5
    assert (report.key, report.tenant, report.started_at) == (KEY, "t", 1_800_001_000.0)


@pytest.mark.parametrize(
    ("step", "expected"), [(Step.CHALLENGE, "fssss"), (Step.TOKEN, "ofsss"), (Step.GET_KEY, "oofss"), (Step.UNWRAP_KEY, "oooof")]
)
async def test_failed_step_ends_the_probe_as_not_ready(step, expected):
    report, _ = await probed(faults={step: REFUSED})
    assert outcomes(report) == expected
    assert (report.first_failure.code, report.first_failure.reason) == (
        3077,
        Reason.FORBIDDEN if step is Step.TOKEN else Reason.FORBIDDEN_POLICY,
    )
    assert (report.success, report.readiness.ready) == (False, False)


BIG = replace(KEY, size_bits=4096)


@pytest.mark.parametrize(
    ("changes", "expected", "failed", "key"),
    [
        ({"faults": {Step.WRAP_KEY: REFUSED}}, "ooofo", (3077, Reason.FORBIDDEN_POLICY), KEY),  # encrypted locally
        ({"spoil": lambda data: data[:-1]}, "oooof", (1, Reason.BYTES_DIFFER), KEY),
        ({"key": BIG}, "oofss", (3, Reason.KEY_UNSUPPORTED), BIG),
        ({"key": replace(KEY, name="other")}, "oofss", (3412, Reason.ANSWER_MALFORMED), None),
        ({"key": replace(KEY, version="v2")}, "oofss", (3412, Reason.ANSWER_MALFORMED), None),
    ],
    ids=["refused wrap", "changed bytes", "unsupported key", "another key", "another version"],
)
async def test_failed_step_has_its_code(changes, expected, failed, key):
    report, vault = await probed(**changes)
    assert (outcomes(report), report.first_failure.code, report.first_failure.reason) == (expected, *failed)
    assert (report.success, report.readiness.ready, report.key) == (False, expected == "ooofo", key)
    assert len(vault.requests) == 5 - expected.count("s")


async def test_response_about_another_key_names_it():
    report, _ = await probed(key=replace(KEY, name="other"))
    assert report.first_failure.facts.detail == "the response is about key other"


async def test_code_and_reason_follow_generation_and_key():
    request = replace(REQUEST, target=replace(TARGET, generation=Generation.CURRENT))
    report, _ = await probed(request, key=replace(KEY, expires=1.0), faults={Step.WRAP_KEY: REFUSED})
    assert (report.first_failure.code, report.first_failure.reason) == (3113, Reason.KEY_EXPIRED)


async def test_wrap_gets_half_of_the_remaining_time():
    _, vault = await probed()
    deadlines = dict(vault.requests)
    assert deadlines[Step.UNWRAP_KEY] == 1010.0
    assert deadlines[Step.WRAP_KEY] == pytest.approx((1000.3 + 1010.0) / 2)


async def test_step_that_is_charged_to_an_earlier_one_is_charged_for_no_later_one():
    bugs = []
    timeouts = dict.fromkeys((Step.WRAP_KEY, Step.UNWRAP_KEY), Facts(fault=Fault.READ_TIMEOUT))
    report, _ = await probed(bugs=bugs, faults=timeouts, lasting={Step.CHALLENGE: 8.5, Step.WRAP_KEY: 9.0})
    assert (outcomes(report), bugs) == ("fooss", [])


async def test_step_without_fault_and_result_is_an_internal_error():
    """It must not count as a success: the steps after it were skipped."""
    bugs = []
    report, _ = await probed(bugs=bugs, parts={"tokens": no_token})
    assert (outcomes(report), report.success, len(bugs)) == ("ofsss", False, 1)
    assert report.first_failure.reason is Reason.INTERNAL


async def no_token(_challenge, *, deadline):
    return TokenResult(facts=Facts(status=200), token=None, duration=deadline * 0, shared=False)


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (Facts(fault=Fault.HTTP_STATUS, status=403), OF_TOKEN),
        (Facts(fault=Fault.HTTP_STATUS, status=403, object_id=OF_CALLER), OF_CALLER),
        (Facts(fault=Fault.HTTP_STATUS, status=500), None),
    ],
)
async def test_refused_step_has_the_object_id_of_its_principal(monkeypatch, facts, found):
    monkeypatch.setattr(answers, "object_id_of_token", {"t0ken": OF_TOKEN}.get)
    report, _ = await probed(faults={Step.GET_KEY: facts})
    assert report.step(Step.GET_KEY).facts.object_id == found


async def test_read_only_requests_only_the_key():
    report, vault = await probed(replace(REQUEST, module=Module(name="default", mode=Mode.READ_ONLY)))
    assert (outcomes(report), report.success, report.readiness.ready) == ("oooss", True, None)
    assert len(vault.requests) == 3


async def test_probe_without_round_trip_keeps_the_last_verdict():
    report, _ = await probed(replace(REQUEST, round_trip=False, last_unwrapped=True))
    assert (outcomes(report), report.success, report.readiness.ready) == ("oooss", True, True)
    report, _ = await probed(replace(REQUEST, round_trip=False, last_unwrapped=False))
    assert report.readiness.ready is False


async def test_error_in_a_step_is_a_failed_step_and_reported():
    bugs = []
    for step in Step:
        report, _ = await probed(bugs=bugs, faults={step: ZeroDivisionError("x")})
        failure = report.step(step)
        assert (failure.outcome, failure.code, failure.reason) == (Outcome.FAILED, 3001, Reason.INTERNAL)
        assert failure.facts.exception == "ZeroDivisionError"
    assert [type(bug) for bug in bugs] == [ZeroDivisionError] * 5


@pytest.mark.parametrize("step", [Step.CHALLENGE, Step.TOKEN])
async def test_probe_without_a_resolver_thread_is_discarded(step):
    with pytest.raises(PoolExhausted):
        await probed(faults={step: PoolExhausted("busy")})


async def test_probe_can_be_cancelled():
    class Hanging(FakeVault):
        async def challenge(self, *, deadline):
            await asyncio.Event().wait()
            raise AssertionError(deadline)

    task = asyncio.create_task(probed(kind=Hanging))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_scrape_timeout_hides_no_other_fault():
    request = replace(REQUEST, cut_by_scrape=True)
    report, _ = await probed(request, faults={Step.GET_KEY: Facts(fault=Fault.READ_TIMEOUT)})
    assert (report.first_failure.code, report.first_failure.reason) == (3008, Reason.SCRAPE_TIMEOUT)
    report, _ = await probed(request, faults={Step.GET_KEY: REFUSED})
    assert report.first_failure.reason is Reason.FORBIDDEN_POLICY
    assert not report.cut_by_scrape


@pytest.mark.parametrize(
    ("fault", "seconds", "cut"),
    [
        (Fault.SECRET_UNREADABLE, 20.0, True),
        (Fault.CONNECTION_CLOSED, 20.0, True),
        (Fault.CONNECTION_CLOSED, 0.01, False),
        (Fault.HTTP_STATUS, 20.0, False),
    ],
)
async def test_failure_at_the_scrape_deadline_is_cut_by_scrape(fault, seconds, cut):
    request = replace(REQUEST, cut_by_scrape=True)
    report, _ = await probed(request, faults={Step.CHALLENGE: Facts(fault=fault, status=403)}, seconds=seconds)
    assert report.cut_by_scrape is cut
    assert report.readiness.why == ("scrape_timeout" if cut else "not_ready")


async def test_other_module_gives_no_verdict():
    report, _ = await probed(replace(REQUEST, module=Module(name="lab")))
    assert report.success
    assert (report.readiness.ready, report.readiness.why) == (None, "other_module")


MISSING = Facts(fault=Fault.HTTP_STATUS, status=404, service_code="KeyNotFound")
FOUND = (Facts(status=200), 1_900_000_000.0)


async def test_missing_key_is_looked_up_among_deleted_keys():
    report, vault = await probed(faults={Step.GET_KEY: MISSING}, deleted=FOUND)
    assert vault.deleted_lookups == ["k"]
    assert (report.first_failure.code, report.first_failure.reason) == (3076, Reason.KEY_SOFT_DELETED)
    assert report.purge_at == 1_900_000_000.0
    assert outcomes(report) == "oofss"


@pytest.mark.parametrize(
    ("answer", "purged"),
    [
        ((Facts(fault=Fault.HTTP_STATUS, status=403), None), False),
        ((Facts(fault=Fault.HTTP_STATUS, status=404), None), True),
        ((Facts(fault=Fault.READ_TIMEOUT), None), False),
        (PoolExhausted("no thread"), False),
    ],
    ids=["forbidden", "purged", "no answer", "no thread"],
)
async def test_unknown_deleted_state_leaves_key_not_found(answer, purged):
    report, _ = await probed(faults={Step.GET_KEY: MISSING}, deleted=answer)
    assert report.first_failure.reason is Reason.KEY_NOT_FOUND
    assert (report.purge_at, report.purged) == (None, purged)


async def test_error_in_deleted_lookup_is_reported_only():
    bugs = []
    report, _ = await probed(bugs=bugs, faults={Step.GET_KEY: MISSING}, deleted=ZeroDivisionError())
    assert [type(bug) for bug in bugs] == [ZeroDivisionError]
    assert report.first_failure.reason is Reason.KEY_NOT_FOUND


@pytest.mark.parametrize("facts", [REFUSED, Facts(fault=Fault.READ_TIMEOUT), Facts(fault=Fault.HTTP_STATUS, status=404)])
async def test_other_failures_do_not_look_up_deleted_keys(facts):
    _, vault = await probed(faults={Step.GET_KEY: facts}, deleted=FOUND)
    assert vault.deleted_lookups == []


async def test_request_without_wrap_encrypts_locally():
    report, vault = await probed(replace(REQUEST, wrap=False))
    assert [step for step, _ in vault.requests] == [Step.CHALLENGE, Step.TOKEN, Step.GET_KEY, Step.UNWRAP_KEY]
    assert outcomes(report) == "oooso"
    assert report.success


async def test_request_without_wrap_can_use_another_key(monkeypatch):
    other = replace(KEY, version="primary")
    under = []

    def encrypt(key, _algorithm, data):
        under.append(key)
        return data[::-1]

    monkeypatch.setattr(round_trip, "encrypt_locally", encrypt)
    await probed(replace(REQUEST, wrap=False, public_key=other))
    assert under == [other]


SILENT = Facts(fault=Fault.READ_TIMEOUT)


@pytest.mark.parametrize("step", [Step.CHALLENGE, Step.TOKEN, Step.GET_KEY, Step.UNWRAP_KEY, Step.WRAP_KEY])
@pytest.mark.parametrize(("late", "discarded"), [(3.0, False), (3.01, True)])
async def test_a_silent_step_counts_unless_this_host_lost_most_of_its_time(step, *, late, discarded):
    """Two steps are silent if wrap is: the verdict comes from unwrap."""
    report, _ = await probed(faults={step: SILENT}, lasting={step: 6.0}, late={step: late})
    assert (report.discarded, report.success) == (discarded, False)
    assert report.step(step).outcome is Outcome.FAILED
    if discarded:
        assert (report.readiness.ready, report.readiness.why) == (None, "not_measured")
        assert report.readiness.stolen == pytest.approx(late / 6.0)
        assert deciding_failure(report) is None
    else:
        assert report.readiness.ready is (step is Step.WRAP_KEY)
    assert report.step(step).disturbed


@pytest.mark.parametrize("facts", [REFUSED, Facts(fault=Fault.CONNECT_REFUSED), Facts(fault=Fault.DNS_NOT_FOUND), RuntimeError()])
async def test_an_answer_a_refusal_and_an_error_of_the_exporter_count_however_slow_this_host_is(facts):
    report, _ = await probed(faults={Step.GET_KEY: facts}, lasting={Step.GET_KEY: 60.0}, late={Step.GET_KEY: 60.0})
    assert (report.discarded, report.step(Step.GET_KEY).outcome) == (False, Outcome.FAILED)


async def test_a_good_step_that_this_host_delayed_counts_without_its_duration():
    report, _ = await probed(lasting={Step.WRAP_KEY: 2.0}, late={Step.WRAP_KEY: 1.9})
    assert (report.success, report.discarded) == (True, False)
    assert [result.step for result in report.steps if result.disturbed] == [Step.WRAP_KEY]


async def test_a_failure_counts_beside_a_step_that_says_nothing():
    """Unwrap was never tested, so there is no verdict."""
    faults = {Step.WRAP_KEY: REFUSED, Step.UNWRAP_KEY: SILENT}
    report, _ = await probed(faults=faults, lasting={Step.UNWRAP_KEY: 6.0}, late={Step.UNWRAP_KEY: 6.0})
    assert (outcomes(report), report.discarded, report.readiness.ready) == ("ooofs", False, None)
    assert deciding_failure(report).reason is Reason.FORBIDDEN_POLICY

    faults = {Step.WRAP_KEY: SILENT, Step.UNWRAP_KEY: REFUSED}
    report, _ = await probed(faults=faults, lasting={Step.WRAP_KEY: 6.0}, late={Step.WRAP_KEY: 6.0})
    assert (outcomes(report), report.discarded, report.readiness.ready) == ("ooosf", False, False)


class Between(Clock):
    """Stands still for a minute at one look at the clock."""

    def __init__(self, look):
        super().__init__()
        self.look = look

    def monotonic(self):
        self.look -= 1
        if not self.look:
            self.stalls.append((self.now, self.now + 60.0))
            self.now += 60.0
        return self.now


@pytest.mark.parametrize("look", range(2, 7))
async def test_a_pause_between_two_steps_discards_the_timeout_of_the_later_one(look):
    """The looks are: at the start and end of the challenge, and of the token."""
    vault = FakeVault(Between(look), faults={Step.TOKEN: SILENT})
    report, _ = await probed(kind=lambda _clock, **_changes: vault)
    assert report.discarded


async def test_a_pause_after_a_slow_step_discards_its_timeout():
    """Get key used most of the time, then this host stood still: the timeout of wrap is charged to get key."""
    faults, lasting = {Step.WRAP_KEY: SILENT}, {Step.GET_KEY: 9.5, Step.WRAP_KEY: 60.0}
    report, _ = await probed(faults=faults, lasting=lasting, late={Step.WRAP_KEY: 60.0})
    assert (report.discarded, report.step(Step.GET_KEY).outcome) == (True, Outcome.FAILED)
    report, _ = await probed(faults=faults, lasting=lasting | {Step.WRAP_KEY: 0.3}, late={Step.WRAP_KEY: 0.3})
    assert (report.discarded, report.step(Step.GET_KEY).outcome) == (False, Outcome.FAILED)


@dataclass
class StoppedVault(FakeVault):
    """Answers in time while the host runs, which stands still for a minute at `stop`; then answers are `heard`, or are timeouts."""

    seconds: float = 1.4
    stop: float = 0.0
    heard: bool = True

    def _answer(self, _step, deadline):
        began, late = self.clock.now, self.clock.now >= deadline
        self.clock.now += 0.0 if late else self.seconds
        is_hit = began <= self.stop < self.clock.now
        if is_hit:
            self.clock.now = self.stop + 60.0
            self.clock.stalls.append((self.stop, self.clock.now))
        return SILENT if late or (is_hit and not self.heard) else Facts(status=200)


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("stop", [1000.0 + tenths / 10 for tenths in range(70)])
async def test_a_stop_longer_than_the_timeout_is_no_failure_of_a_slow_vault(stop, heard):
    """At whichever moment of its seven seconds it comes, of ten."""
    report, _ = await probed(kind=StoppedVault, stop=stop, heard=heard)
    assert report.success is (heard and stop >= 1005.6)
    assert report.success is not report.discarded


async def test_a_pause_during_a_shared_fetch_counts_for_each_probe_that_waited():
    """This probe waited for the last tenth of a second of the fetch."""

    async def shared(_challenge, *, deadline):
        vault.clock.now += 0.1
        vault.clock.stalls.append((vault.clock.now - 60.0, vault.clock.now))
        assert deadline == 1010.0
        return TokenResult(facts=SILENT, token=None, duration=61.0, shared=True)

    vault = FakeVault(Clock())
    report, _ = await probed(kind=lambda _clock, **_changes: vault, parts={"tokens": shared})
    assert report.discarded


# Timeouts and the step or exporter-side cause that each one names.


def at_challenge(request):
    return request.path == "/keys"


def at_token(request):
    return request.headers["host"] == ENTRA


async def failure_of(harness):
    report = await harness.probe()
    failure = report.first_failure
    return failure.step, failure.code, failure.reason, report


@pytest.mark.parametrize(
    ("where", "expected", "body"),
    [
        (at_challenge, Step.CHALLENGE, stalls_after_headers(401, WWW_Authenticate=CHALLENGE)),
        (at_token, Step.TOKEN, stalls_after_headers(200, Content_Type="application/json")),
    ],
)
async def test_stalled_body_fails_its_step(harness, where, expected, body):
    harness.within(1.0)
    harness.instead = lambda request: body if where(request) else None
    step, code, reason, report = await failure_of(harness)
    assert (step, code, reason) == (expected, 3019, Reason.BODY_TIMEOUT)
    assert (report.readiness.ready, report.discarded) == (False, False)


@pytest.fixture
def hanging_secret(monkeypatch):
    """Block each read of a secret until the test ends; yield the names of the threads."""
    over, reads = threading.Event(), []

    def read(_source):
        reads.append(threading.current_thread().name)
        over.wait(10)
        return "text"

    monkeypatch.setattr(secrets, "read_secret", read)
    yield reads
    over.set()


async def test_hanging_secret_is_exporter_side_and_holds_one_thread(harness, hanging_secret):
    harness.within(0.3)
    reports = await asyncio.gather(*(harness.prober.probe_on_demand(harness.target) for _ in range(5)))
    for report in reports:
        failure = report.first_failure
        assert (failure.step, failure.code, failure.reason) == (Step.TOKEN, 3001, Reason.SECRET_TIMEOUT)
        assert failure.facts.detail == "reading the secret file took too long"
        assert (report.readiness.ready, report.readiness.why) == (None, "exporter_fault")
    assert len(hanging_secret) == 1


@pytest.mark.parametrize("where", [at_challenge, at_token])
async def test_failure_during_a_loop_stall_is_discarded(harness, where):
    """The response arrives in time and is read too late."""
    harness.within(0.3)

    def block_the_loop(request):
        if where(request):
            time.sleep(0.6)

    harness.instead = block_the_loop
    report = await harness.probe()
    assert any(step.disturbed for step in report.steps)
    assert report.success or report.discarded
    assert report.first_failure is None or report.first_failure.reason is not Reason.SECRET_UNREADABLE


async def test_continuous_reloads_fail_no_probe(harness):
    """Each reload changes the credential, so each probe reads the secret and signs in."""
    over = asyncio.Event()

    async def reload_without_end():
        number = 0
        while not over.is_set():
            number += 1
            credential = replace(harness.config.credentials["c"], tenant_id=f"11111111-2222-3333-4444-{number:012}")
            harness.prober.reconfigure(replace(harness.config, credentials={"c": credential}))
            await asyncio.sleep(0)

    storm = asyncio.create_task(reload_without_end())
    reports = [await harness.probe() for _ in range(10)]
    over.set()
    await storm
    bad = [report for report in reports if report is not None and not report.success and not report.discarded]
    assert bad == []
    assert not harness.bugs


async def test_probe_during_a_reload_signs_in_over_its_own_route(harness):
    module = harness.config.modules["default"]
    elsewhere = replace(module, connect_to={**module.connect_to, f"{ENTRA}:443": "127.0.0.1:1"})

    def reload(request):
        if at_challenge(request):
            harness.prober.reconfigure(replace(harness.config, modules={"default": elsewhere}))

    harness.instead = reload
    assert (await harness.probe()).success
    assert not harness.bugs


async def test_challenge_that_uses_all_time_is_the_failed_step(harness):
    harness.within(1.0)

    answer = f"HTTP/1.1 401 No\r\nWWW-Authenticate: {CHALLENGE}\r\nContent-Length: 0\r\n\r\n".encode()
    late = writes(b"", answer, then=keeps_open, pause=0.95)
    harness.instead = lambda request: late if at_challenge(request) else is_silent
    step, code, reason, report = await failure_of(harness)
    assert (step, code, reason) == (Step.CHALLENGE, 3008, Reason.READ_TIMEOUT)
    assert [result.outcome for result in report.steps] == [Outcome.FAILED, *[Outcome.SKIPPED] * 4]
