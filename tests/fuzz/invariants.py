"""Invariants for any response: a code, a reason, and texts that are safe wherever they are shown.

Each function raises AssertionError, or passes on an exception of the exporter.
"""

import math
import re

from exporter.clients.answers import encode, read_challenge
from exporter.clients.http import facts as facts_module
from exporter.clients.key_vault import encrypt_locally
from exporter.core import durations
from exporter.core.connector import connector_secret_findings, key_name_findings, split_connector_secret
from exporter.core.json import decode
from exporter.core.names import cloud_of, is_parent_domain, is_trusted_authority, vault_host
from exporter.core.secrets import LIMIT, mask
from exporter.core.values import Challenge, Facts, Fault, Generation, KeyFacts, Step, VaultHeaders
from exporter.knowledge.answers import read_error
from exporter.knowledge.classify import classify
from exporter.knowledge.codes import BY_CODE, generation_code
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import redacted_facts, redacted_key
from tests.fuzz.exchanges import SECRET, TOKEN, Outcome, Reported, outcome

_CODE_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADER_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DATE_LIMIT = 253402300800.0  # the year 10000

# The secret that the server received at each step and could return.
SENT = {Step.CHALLENGE: None, Step.TOKEN: SECRET, Step.GET_KEY: TOKEN, Step.WRAP_KEY: TOKEN, Step.UNWRAP_KEY: TOKEN}


def check_answer(reported: Reported) -> Fault:
    """Check everything that a response leads to: facts, value, expiry and classification."""
    found = outcome(reported)
    check_facts(found.facts, sent=SENT[reported.step])
    _check_kept(found, sent=SENT[reported.step])
    if found.facts.fault is Fault.NONE:
        assert 200 <= reported.status < 300 or reported.step is Step.CHALLENGE
        _check_value(found.value)
        assert found.expires_at is None or 0 <= found.expires_at < _DATE_LIMIT
    else:
        assert found.value is None
        check_classification(reported.step, found.facts)
    return found.facts.fault


def _check_kept(found: Outcome, *, sent: str | None) -> None:
    """Check that what a report keeps of a response lacks what was sent."""
    kept = (redacted_facts(found.facts), redacted_key(found.value) if isinstance(found.value, KeyFacts) else None)
    assert sent is None or sent not in repr(kept)


def check_classification(step: Step, facts: Facts) -> None:
    classification = classify(step, facts)
    assert isinstance(classification.reason, Reason)
    for generation in Generation:
        assert generation_code(classification.code, generation) in BY_CODE


def check_facts(facts: Facts, *, sent: str | None) -> None:
    assert isinstance(facts.fault, Fault)
    assert facts.fault is not Fault.INTERNAL, "a response must not become an internal error"
    for word in (facts.service_code, facts.inner_code):
        assert word is None or _CODE_WORD.fullmatch(word)
    assert facts.aadsts is None or 0 < facts.aadsts < 10**8
    assert facts.akv is None or 0 <= facts.akv < 10**5
    assert facts.retry_after_seconds is None or 0 <= facts.retry_after_seconds <= facts_module.LONGEST_RETRY_AFTER
    assert facts.request_id is None or _REQUEST_ID.fullmatch(facts.request_id)
    assert facts.server_time is None or 0 <= facts.server_time < _DATE_LIMIT
    check_detail(facts.detail)
    assert sent is None or sent not in facts.detail
    if facts.vault is not None:
        _check_vault_headers(facts.vault)


def check_detail(detail: str) -> None:
    assert len(detail) <= LIMIT
    assert detail.isprintable()  # no line break, terminal sequence or change of text direction
    detail.encode()  # no lone surrogate


def _check_vault_headers(vault: VaultHeaders) -> None:
    for word in (vault.region, vault.service_version):
        assert word is None or _HEADER_WORD.fullmatch(word)
    assert vault.connection in (None, "private", "public")


def _check_value(value: object) -> None:
    match value:
        case KeyFacts():
            check_key(value)
        case Challenge():
            check_challenge(value)
        case str():  # a token, which becomes part of a header
            assert value.isascii()
            assert value.isprintable()
            assert " " not in value
        case _:
            assert isinstance(value, bytes)


def check_key(key: KeyFacts) -> None:
    assert re.fullmatch(r"[A-Za-z0-9-]{1,127}", key.name)
    assert re.fullmatch(r"[A-Za-z0-9]{1,64}", key.version)
    assert len(key.kid) <= 512
    assert key.kid.isascii()
    assert key.kid.isprintable()
    assert _CODE_WORD.fullmatch(key.kty)
    assert 0 <= key.size_bits <= 8 * len(key.modulus)
    assert len(key.modulus) + len(key.exponent) <= 8192
    assert len(key.key_ops) <= 32
    assert all(_CODE_WORD.fullmatch(word) for word in key.key_ops)
    assert key.enabled in (None, True, False)
    for date in (key.not_before, key.expires):
        assert date is None or (math.isfinite(date) and 0 <= date < _DATE_LIMIT)
    wrapped = encrypt_locally(key, "RSA-OAEP", bytes(32))
    assert wrapped is None or len(wrapped) == key.size_bits // 8


def check_challenge(challenge: Challenge) -> None:
    assert re.fullmatch(r"https://[a-z0-9.:-]{1,260}", challenge.authority)
    assert re.fullmatch(r"[A-Za-z0-9.-]{1,253}", challenge.tenant)
    assert challenge.resource.isascii()
    assert challenge.resource.isprintable()
    assert " " not in challenge.resource  # it becomes a scope, and a blank separates scopes


def check_text(text: str) -> None:
    """Run every parser of short texts on this text."""
    masked = mask(text)
    assert len(masked) <= LIMIT
    assert masked.isprintable()
    _, challenge = read_challenge(text)
    if challenge is not None:
        is_trusted_authority(challenge.authority, None)
        is_parent_domain(challenge.resource, "contoso.vault.azure.net")
    is_parent_domain(text, "contoso.vault.azure.net")
    is_trusted_authority(text, text)
    _check_names(text)
    _check_headers(text)
    data = decode(text)
    assert not data or decode(encode(data)) == data
    read_error(text.encode("utf-8", "surrogatepass"))


def _check_names(text: str) -> None:
    try:
        host = vault_host(text)
    except ValueError:
        pass
    else:
        assert re.fullmatch(r"[a-z0-9.-]{1,253}(?::[0-9]{1,5})?", host)
        assert vault_host(host) == host
        cloud_of(host)
    try:
        seconds = durations.parse(text)
    except ValueError:
        pass
    else:
        assert durations.parse(durations.write(seconds)) == seconds
    key_name_findings(text)
    parts = split_connector_secret(text)
    assert parts is None or not connector_secret_findings(text)


def _check_headers(text: str) -> None:
    output = dict.fromkeys(("Date", "Retry-After", "x-ms-request-id", "x-ms-keyvault-region", "x-ms-keyvault-network-info"), text)
    waiting = facts_module.retry_after(output)
    assert waiting is None or 0 <= waiting <= facts_module.LONGEST_RETRY_AFTER
    moment = facts_module.server_time(output)
    assert moment is None or 0 <= moment < _DATE_LIMIT
    request = facts_module.request_id(output)
    assert request is None or _REQUEST_ID.fullmatch(request)
    vault = facts_module.vault_headers(output)
    if vault is not None:
        _check_vault_headers(vault)
