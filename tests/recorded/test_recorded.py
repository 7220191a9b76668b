"""What real vaults answered, given to the core: every 401, 403 and 404 gets its code, every key and value can be read."""

from collections import Counter

import pytest

from exporter.clients.answers import read_challenge, read_key, read_value
from exporter.core.names import cloud_of, is_parent_domain, is_trusted_authority
from exporter.core.secrets import mask
from exporter.core.values import Facts, Fault, Generation, Step
from exporter.knowledge.answers import read_error
from exporter.knowledge.classify import classify
from exporter.knowledge.codes import generation_code
from exporter.knowledge.reasons import Reason

WITH_TOKEN = (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)
CARRIES_A_KEY = ("create", "get", "update", "recover")


def of_status(exchanges, status):
    return [exchange for exchange in exchanges if exchange.status == status]


def facts_of(exchange):
    error = read_error(exchange.body)
    return Facts(
        fault=Fault.HTTP_STATUS,
        status=exchange.status,
        service_code=error.service_code,
        inner_code=error.inner_code,
        aadsts=error.aadsts,
        akv=error.akv,
    )


def judged(exchange, step):
    """The codes in both generations, and the reason."""
    classification = classify(step, facts_of(exchange))
    return classification.code, generation_code(classification.code, Generation.CURRENT), classification.reason


def test_the_recordings_are_the_whole_published_set(sessions, exchanges):
    assert (len(sessions), len(exchanges)) == (48, 643)
    assert Counter(exchange.status for exchange in exchanges) == {200: 388, 404: 190, 401: 48, 204: 14, 403: 3}
    used = Counter(exchange.operation for exchange in of_status(exchanges, 200))
    assert (used["get"], used["create"], used["wrapkey"], used["unwrapkey"]) == (31, 136, 3, 12)


def test_every_session_opens_with_a_401_whose_challenge_the_parser_reads(sessions):
    for session in sessions.values():
        first = session[0]
        assert first.status == 401
        fault, challenge = read_challenge(first.headers["www-authenticate"])
        assert fault is Fault.NONE
        assert challenge is not None
        assert challenge.tenant == "72f988bf-86f1-41af-91ab-2d7cd011db47"
        assert challenge.resource == "https://vault.azure.net"


def test_each_challenge_names_an_authority_and_an_audience_that_may_be_used(exchanges):
    for exchange in of_status(exchanges, 401):
        _, challenge = read_challenge(exchange.headers["www-authenticate"])
        assert challenge is not None
        assert is_trusted_authority(challenge.authority, None)
        assert is_parent_domain(challenge.resource, exchange.host)
        cloud = cloud_of(exchange.host)
        assert cloud is not None
        assert cloud.resource == challenge.resource


@pytest.mark.parametrize("step", WITH_TOKEN)
@pytest.mark.parametrize(
    ("status", "judgement"),
    [
        (401, (3010, 3108, Reason.TOKEN_REJECTED)),
        (403, (3077, 3113, Reason.FORBIDDEN_POLICY)),
        (404, (3076, 3112, Reason.KEY_NOT_FOUND)),
    ],
)
def test_every_refusal_after_a_token_was_sent_has_its_code_and_reason(exchanges, step, status, judgement):
    assert {judged(answer, step) for answer in of_status(exchanges, status)} == {judgement}


def test_an_error_without_a_body_still_gets_its_code(exchanges):
    bare = [exchange for exchange in exchanges if exchange.status >= 400 and not exchange.body]
    assert [judged(exchange, Step.GET_KEY)[0] for exchange in bare] == [3010]


def test_every_key_that_a_vault_described_can_be_read(exchanges):
    described = [exchange for exchange in of_status(exchanges, 200) if exchange.operation in CARRIES_A_KEY]
    kinds: Counter[tuple[str, bool]] = Counter()
    for exchange in described:
        fault, key = read_key(exchange.body)
        assert fault is Fault.NONE, exchange
        assert key is not None
        assert key.kid.startswith(f"https://{exchange.host}/keys/{key.name}/")
        kinds[key.kty, key.supported] += 1
    # RSA that the connector would refuse: six keys of 4096 bits.
    assert kinds == {("RSA", True): 134, ("RSA-HSM", True): 3, ("RSA", False): 6, ("EC", False): 26, ("EC-HSM", False): 2}


def test_every_wrapped_and_unwrapped_value_can_be_read(exchanges):
    values = {"wrapkey": set(), "unwrapkey": set()}
    for exchange in of_status(exchanges, 200):
        if exchange.operation in values:
            fault, value = read_value(exchange.body)
            assert fault is Fault.NONE
            values[exchange.operation].add(value)
    assert {len(value) for value in values["wrapkey"]} == {256}
    assert len(values["unwrapkey"]) == 1, "each session unwrapped the same plain text"


def test_no_answer_of_a_vault_makes_a_reader_raise(exchanges):
    for exchange in exchanges:
        read_key(exchange.body)
        read_value(exchange.body)
        read_error(exchange.body)


def test_who_was_refused_is_masked(exchanges):
    for exchange in of_status(exchanges, 403):
        message = read_error(exchange.body).message
        assert "appid=3640fa99-2ed4-4816-92c9-3c61066adca2" in message
        assert "3640fa99" not in mask(message)
        assert "72f988bf" not in mask(message)
