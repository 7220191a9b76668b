"""Sweeps outside the scenario table: every status at every step and every marker of an error body."""

import asyncio
import json

import pytest
import pytest_asyncio

from exporter.clients.entra import fetch_token
from exporter.clients.http.network import Networks
from exporter.clients.key_vault import VaultSession
from exporter.core.values import Challenge, Fault, Generation, Step
from exporter.knowledge.classify import classify
from exporter.knowledge.codes import generation_code
from exporter.knowledge.reasons import ENTRA_REASONS, VAULT_REASONS, Reason
from exporter.runtime.tasks import DaemonThreadPool
from exporter.simulator.faults import Options
from tests.support.simulated_vaults import PUBLIC, SECRET
from tests.support.simulator_client import KEY, VERSION

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLASSIC = {400: 3012, 401: 3010, 403: 3077, 404: 3076, 429: 3011}  # any other 4xx 3012, any 5xx 3013
CURRENT = {3010: 3108, 3011: 3109, 3012: 3110, 3013: 3111, 3076: 3112, 3077: 3113}
AT_TOKEN = {400: 3128, 401: 3303}
PATIENCE = 30.0


def expected(step, status):
    """The codes of both generations, independent of the tables of the exporter."""
    classic = CLASSIC.get(status, 3012 if status < 500 else 3013)
    if step is Step.TOKEN:
        classic = AT_TOKEN.get(status, classic)
    if step is Step.CHALLENGE and status == 401:
        classic = 3017  # the response has no challenge header
    return classic, {**CURRENT, 3017: 3117}.get(classic, classic)


def _soon():
    return asyncio.get_running_loop().time() + PATIENCE


class StepRunner:
    """Run one step at a time on one connection, with the client of the exporter."""

    def __init__(self, harness, pool):
        self._simulator, config = harness.simulator, harness.configuration()
        self._network = Networks(config, pool=pool).network_of(config.modules["default"])
        self._credential = config.credentials[PUBLIC.name]
        self._challenge = Challenge(
            authority=f"https://{PUBLIC.authority}", tenant=PUBLIC.tenant, resource="https://vault.azure.net"
        )
        self.session = VaultSession(self._network, PUBLIC.host, "7.4")

    async def begin(self):
        deadline = _soon()
        answer = await fetch_token(self._network, self._credential, SECRET, self._challenge, deadline=deadline)
        self._token = answer.token
        _, self._key = await self.session.get_key(self._token, KEY, VERSION, deadline=deadline)
        _, self._wrapped = await self.session.operate(
            Step.WRAP_KEY, self._token, self._key, "RSA-OAEP", b"x" * 32, deadline=deadline
        )

    async def facts(self, step):
        deadline = _soon()
        match step:
            case Step.CHALLENGE:
                return (await self.session.challenge(deadline=deadline))[0]
            case Step.TOKEN:
                return (await fetch_token(self._network, self._credential, SECRET, self._challenge, deadline=deadline)).facts
            case Step.GET_KEY:
                return (await self.session.get_key(self._token, KEY, VERSION, deadline=deadline))[0]
            case Step.WRAP_KEY:
                return (
                    await self.session.operate(Step.WRAP_KEY, self._token, self._key, "RSA-OAEP", b"x" * 32, deadline=deadline)
                )[0]
            case Step.UNWRAP_KEY:
                return (
                    await self.session.operate(
                        Step.UNWRAP_KEY, self._token, self._key, "RSA-OAEP", self._wrapped, deadline=deadline
                    )
                )[0]

    async def classified(self, step, **options):
        """The facts and the classification of a step whose response is replaced by a status and a body."""
        place = {"application": PUBLIC.client} if step is Step.TOKEN else {"vault": PUBLIC.host}
        self._simulator.set_fault("challenge_absent", vault=PUBLIC.host)
        self._simulator.set_fault("status", Options(step=step, **options), **place)
        try:
            facts = await self.facts(step)
        finally:
            self._simulator.clear()
        return facts, classify(step, facts)


@pytest_asyncio.fixture(loop_scope="module")
async def runner(harness):
    pool = DaemonThreadPool(4)
    runner = StepRunner(harness, pool)
    async with runner.session:
        yield runner
    pool.close()


@pytest.mark.parametrize("step", list(Step), ids=str)
async def test_every_status_from_400_to_599_has_its_code_at_every_step(runner, step):
    await runner.begin()
    shown, wanted = {}, {}
    for status in range(400, 600):
        facts, classification = await runner.classified(step, status=status)
        assert facts.status == status
        shown[status] = tuple(generation_code(classification.code, generation) for generation in Generation)
        wanted[status] = expected(step, status)
    assert shown == wanted


def entra_body(marker):
    if marker.startswith("aadsts"):
        number = int(marker.removeprefix("aadsts"))
        return {"error": "x", "error_description": f"AADSTS{number}: text.", "error_codes": [number]}
    return {"error": marker}


def vault_body(marker):
    return {"error": {"code": "Forbidden", "message": "Text.", "innererror": {"code": marker.title()}}}


ENTRA_MARKERS = [
    (marker, rule.reason, status)
    for rule in ENTRA_REASONS
    for marker in rule.markers
    if ":" not in marker  # of a page
    for status in rule.statuses or (400, 401, 503)
    if (marker, rule.reason) != ("temporarily_unavailable", Reason.ENTRA_UNAVAILABLE) or status != 429
]
VAULT_MARKERS = [
    (marker, rule.reason, status)
    for rule in VAULT_REASONS
    for marker in rule.markers
    if ":" not in marker  # the exporter adds these: from the attributes of the key, for a page
    for status in rule.statuses
]


async def test_entra_marker_sets_the_reason_and_not_the_code(runner):
    for marker, reason, status in ENTRA_MARKERS:
        _, classification = await runner.classified(Step.TOKEN, status=status, body=json.dumps(entra_body(marker)))
        assert (classification.reason, classification.code) == (reason, expected(Step.TOKEN, status)[0]), (marker, status)


@pytest.mark.parametrize("step", [Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY], ids=str)
async def test_vault_marker_sets_the_reason_and_not_the_code(runner, step):
    await runner.begin()
    for marker, reason, status in VAULT_MARKERS:
        _, classification = await runner.classified(step, status=status, body=json.dumps(vault_body(marker)))
        assert (classification.reason, classification.code) == (reason, expected(step, status)[0]), marker


ODD = [
    *(b"null", b"[]", b'"Forbidden"', b"7", b"{}", b'{"error":null}', b'{"error":[]}', b'{"error":7}', b'{"error":{"code":7}}'),
    *(
        b'{"error":{"code":"Forbidden","innererror":7}}',
        b'{"error":{"message":{"a":1}}}',
        b'{"error":"x","error_codes":"7000222"}',
    ),
    *(b'{"error":"x","error_codes":[true]}', b'{"error":"x","error_codes":[-1]}', b'{"error":"x","error_codes":[1e999]}'),
    *(b'{"error":"x","error_codes":[' + b"9" * 5000 + b"]}", b"[" * 100_000, b'{"error":' * 50_000, b"\x00", b"no"),
]
# Objects that no service sends: a vault's `error` has a code.
FOREIGN = (b'{"error":null}', b'{"error":[]}', b'{"error":7}', b'{"error":{"code":7}}', b'{"error":{"message":{"a":1}}}')


@pytest.mark.parametrize("step", [Step.TOKEN, Step.GET_KEY, Step.UNWRAP_KEY], ids=str)
async def test_malformed_error_body_is_classified_by_status(runner, step):
    await runner.begin()
    for body in ODD:
        facts, classification = await runner.classified(step, status=403, body=body.decode())
        by_device = step is not Step.TOKEN and (
            not is_object(body) or body in FOREIGN
        )  # Entra ID sends no 403, so any is a device's
        reason = Reason.ANSWER_NOT_JSON if by_device else Reason.FORBIDDEN
        assert (facts.fault, classification.code, classification.reason) == (Fault.HTTP_STATUS, 3077, reason), body[:40]


def is_object(body):
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


@pytest.mark.parametrize(("step", "code"), [(Step.TOKEN, 3303), (Step.GET_KEY, 3010), (Step.UNWRAP_KEY, 3010)], ids=str)
async def test_page_with_401_is_no_refusal(runner, step, code):
    await runner.begin()
    facts, classification = await runner.classified(step, status=401, body="<html>no</html>")
    assert (facts.fault, classification.code, classification.reason) == (Fault.HTTP_STATUS, code, Reason.ANSWER_NOT_JSON)
