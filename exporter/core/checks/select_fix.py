"""Select the fix of a check by outcome and reason, and fill in names.

A reason without a fix of its own gets the shared advice of `codes.actions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.core.checks.fixes import BY_REASON, FIXES, HSM_ROLE, POLICY, ROLE, UNKNOWN, WARNED, Lines
from exporter.core.checks.fixes_sign_in import SIGN_IN
from exporter.core.checks.fixes_thumbprint import modulus_words
from exporter.core.checks.model import CheckOutcome
from exporter.core.codes.actions import BY_REASON as ADVICE
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.endpoints import cloud_of
from exporter.core.faults import Reason

_SHARED = (
    Reason.APPLICATION_NOT_IN_TENANT,
    Reason.APPLICATION_ID_INVALID,
    Reason.RESOURCE_PRINCIPAL_DISABLED,
    Reason.TOKEN_REJECTED,
    Reason.TOKEN_WRONG_AUDIENCE,
    Reason.TOKEN_WRONG_ISSUER,
    Reason.TOKEN_EXPIRED,
    Reason.TOKEN_REVOKED,
    Reason.TOKEN_UNVERIFIABLE,
    Reason.FORBIDDEN_NSP,
)
_COMMAND_AT_END = re.compile(r": `([^`]+)`\.$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The values of the words in capitals.

    `vault` and `entra` are hosts, with an optional port. `again` repeats the check.
    """

    vault: str
    entra: str
    key: str
    version: str | None
    again: str
    client: str | None = None  # the client id, if the configuration has it
    modulus: bytes = b""  # of the key, empty if it was not read


def remedy(check: str, outcome: CheckOutcome, reason: Reason | None, words: Words) -> Lines:
    """Return the lines for a check that did not pass; empty if the tables have none."""
    if outcome is CheckOutcome.UNKNOWN:
        return filled(UNKNOWN.get(check, ()), words)
    by_reason = None if reason is None else (SIGN_IN if check == "token" else {}).get(reason) or BY_REASON.get(reason)
    by_outcome = WARNED.get(check) if outcome is CheckOutcome.WARN else None
    return filled(by_reason or by_outcome or _shared(reason) or FIXES.get(check, ()), words)


def _shared(reason: Reason | None) -> Lines:
    """Return the advice for `reason`, with each command on its own line."""
    advice = ADVICE[reason] if reason in _SHARED else ()
    texts = (text for text in advice if text != DO_NOT_RESTART and "`ekm-exporter probe" not in text)
    return tuple(line for text in texts for line in _COMMAND_AT_END.sub(r":\n  \1", text).split("\n"))


def filled(lines: Lines, words: Words) -> Lines:
    """Fill in the target's names; for a Managed HSM, use its own role and flags."""
    cloud = cloud_of(words.vault)
    if cloud is not None and cloud.managed_hsm:
        lines = HSM_ROLE if lines in (ROLE, POLICY) else lines
        lines = tuple(line.replace("--vault-name VAULT_NAME", "--hsm-name VAULT_NAME") for line in lines)
        lines = tuple(line.replace("keyvault show --name", "keyvault show --hsm-name") for line in lines)
        lines = tuple(line.replace("network-rule add --name", "network-rule add --hsm-name") for line in lines)
    host = words.vault.partition(":")[0]
    known = {
        "VAULT_NAME": host.partition(".")[0],
        "VAULT_HOST": host,
        "VAULT_IDENTITY": identity_of(words.vault),
        "ENTRA_HOST": words.entra.partition(":")[0],
        "KEY_NAME": words.key,
        "KEY_VERSION": words.version or "KEY_VERSION",
        "PROBE_AGAIN": words.again,
        "CLIENT_ID": words.client or "CLIENT_ID",
        **modulus_words(words.modulus),
    }
    pattern = re.compile(r"\b(?:" + "|".join(known) + r")\b")
    return tuple(pattern.sub(lambda found: known[found[0]], line) for line in lines)


def identity_of(vault: str) -> str:
    """Return IDENTITY of the SQL credential.

    It is the vault's name in the public cloud, else the vault's host name.
    """
    host, cloud = vault.partition(":")[0], cloud_of(vault)
    plain = cloud is not None and cloud.name == "public" and not cloud.managed_hsm
    return host.partition(".")[0] if plain else host
