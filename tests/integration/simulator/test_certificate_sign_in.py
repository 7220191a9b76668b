"""Sign-in with certificates and managed identities, and the reasons for refusals."""

import json
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from exporter.clients.answers import encode
from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.presentation.diagnosis import Diagnosis
from exporter.simulator.entra import BEARER
from tests.support import broken_credentials
from tests.support.simulated import ScenarioHarness
from tests.support.simulated_vaults import PROBED, PUBLIC
from tests.support.simulator_client import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINT = f"https://{PUBLIC.authority}/{PUBLIC.tenant}/oauth2/v2.0/token"
SIGNED = {"RS256": padding.PKCS1v15(), "PS256": padding.PSS(padding.MGF1(hashes.SHA256()), 32)}


def credentials(harness, folder, content, password=None):
    file = folder / "principal"
    file.write_bytes(content)
    return {name: broken_credentials.by_certificate(one, file, password) for name, one in harness.by_secret().items()}


def failure(reports):
    first = reports[PROBED[0]].first_failure
    return first and (first.step, first.code, first.reason)


@pytest.mark.parametrize("number", range(4))
async def test_valid_certificate_signs_in_to_every_cloud(harness, tmp_path, number):
    _, content, password = list(harness.certificates.principal.good())[number]
    probed = PROBED if number == 0 else PROBED[:1]  # loading a key costs a tenth of a second
    reports = await harness.probe(credentials(harness, tmp_path, content, password), only=probed)
    assert all(report.success for report in reports.values()), failure(reports)


@pytest.mark.parametrize(
    "fault", ["certificate_revoked", "refusal_unknown", "credential_invalid", "certificate_unknown", "number_unknown"]
)
async def test_refused_certificate_gets_no_advice_for_a_secret(harness, cleared, tmp_path, fault):
    cleared.set_fault(fault, application=PUBLIC.client)
    _, content, password = next(iter(harness.certificates.principal.good()))
    report = (await harness.probe(credentials(harness, tmp_path, content, password), only=PROBED[:1]))[PROBED[0]]
    advice = Diagnosis(harness.configuration().targets[report.target], report).advice().actions
    assert [line for line in advice if "new secret" in line or "alter-credential" in line or "--append`" in line] == []
    assert PUBLIC.client in " ".join(advice) or f"error?code={report.first_failure.facts.aadsts}`" in advice[0]


@pytest.mark.parametrize("hours", [-2, 2])
async def test_wrong_clock_is_reported_as_clock_skew(harness, tmp_path, hours):
    async with ScenarioHarness(tmp_path, harness.certificates, clock=lambda: time.time() + hours * 3600) as skewed:
        reports = await skewed.probe(credentials(skewed, tmp_path, harness.certificates.principal.pem()), only=PROBED[:1])
    assert failure(reports) == (Step.TOKEN, 3303, Reason.CLOCK_SKEW)


def assertion(certificates, *, algorithm="PS256", key=None, header=None, **claims):
    """A client assertion: valid unless the arguments change it."""
    certificate, now = certificates.principal.certificate, int(time.time())
    named = {"x5t#S256": encode(certificate.fingerprint(hashes.SHA256()))}
    payload = {"aud": ENDPOINT, "iss": PUBLIC.client, "sub": PUBLIC.client, "nbf": now, "exp": now + 600} | claims
    head = {"alg": algorithm, "typ": "JWT"} | (named if header is None else header)
    signed = ".".join(encode(json.dumps(part).encode()) for part in (head, payload))
    signature = (key or certificates.principal.key).sign(signed.encode(), SIGNED.get(algorithm, SIGNED["PS256"]), hashes.SHA256())
    return f"{signed}.{encode(signature)}"


async def offered(simulator, text, endpoint=ENDPOINT):
    form = {
        "grant_type": "client_credentials",
        "client_id": PUBLIC.client,
        "client_assertion_type": BEARER,
        "client_assertion": text,
    }
    form |= {"scope": "https://vault.azure.net/.default", "resource": "https://vault.azure.net"}
    async with Client(simulator) as client:
        reply = await client.request("POST", endpoint, data=form)
    return reply.json.get("error_codes", [None])[0], reply.status


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
async def test_both_signature_algorithms_and_thumbprints_are_accepted(harness, algorithm):
    certificate = harness.certificates.principal.certificate
    old_name = {"x5t": encode(certificate.fingerprint(hashes.SHA1()))}  # noqa: S303 - how older clients name a certificate
    for header in (None, old_name):
        text = assertion(harness.certificates, algorithm=algorithm, header=header)
        assert await offered(harness.simulator, text) == (None, 200)


async def test_v1_endpoint_accepts_only_its_own_audience(harness):
    first = ENDPOINT.replace("/v2.0", "")
    assert await offered(harness.simulator, assertion(harness.certificates, aud=first), first) == (None, 200)
    assert await offered(harness.simulator, assertion(harness.certificates), first) == (700023, 401)


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"aud": "https://login.microsoftonline.com/other/oauth2/v2.0/token"}, 700023),
        ({"iss": "66666666-7777-8888-9999-00000000dead"}, 700021),
        ({"sub": "66666666-7777-8888-9999-00000000dead"}, 700021),
        ({"exp": 1000}, 700024),
        ({"exp": None}, 700024),
        ({"exp": "tomorrow"}, 700024),
        ({"nbf": 4102444800}, 700024),
        ({"header": {}}, 700027),
        ({"header": {"x5t#S256": 7}}, 700027),
        ({"header": {"x5t#S256": "AAAA"}}, 700027),
        ({"algorithm": "none"}, 700027),
    ],
)
async def test_invalid_assertion_is_refused_with_its_error_number(harness, change, number):
    assert await offered(harness.simulator, assertion(harness.certificates, **change)) == (number, 401)


async def test_forged_signature_is_refused(harness):
    assert await offered(harness.simulator, assertion(harness.certificates, key=harness.certificates.other.key)) == (700027, 401)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "..", "e30.e30.e30", "\0.\0.\0", "WzFd.WzFd.AAAA"])
async def test_malformed_assertion_is_refused(harness, text):
    assert await offered(harness.simulator, text) == (700027, 401)
