"""Select the fix of a check by outcome and reason, and fill in names.

A reason without a fix of its own gets the shared advice of `codes.actions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.core.checks.fixes import FIXES, UNKNOWN, WARNED, Lines
from exporter.core.checks.fixes_sign_in import OF_CERTIFICATE
from exporter.core.checks.fixes_thumbprint import modulus_words
from exporter.core.checks.model import CheckOutcome
from exporter.core.codes.actions import Names, advice, identity_of
from exporter.core.codes.actions import filled as with_names
from exporter.core.codes.advice_texts import FIND_OBJECT_ID, REPEAT
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.endpoints import cloud_of
from exporter.core.faults import Reason
from exporter.core.model import CredentialKind, Step, Vantage

_PROBE = "ekm-exporter probe TARGET"
_FROM_PROBE = f"from `{_PROBE}`"
_COMMAND = re.compile(r": `([^`]+)`\.(?: (?=[A-Z])|$)")


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
    object_id: str | None = None  # of the principal, if a vault refused it
    newest: str | None = None  # the newest version of the key
    secret_file: str | None = None
    proxy: str | None = None  # host:port
    kind: CredentialKind | None = None
    aadsts: int | None = None  # the number of Entra ID
    client_address: str | None = None  # that the vault saw and refused
    vantage: Vantage = Vantage.CENTRAL  # whose address that is
    modulus: bytes = b""  # of the key, empty if it was not read


def remedy(check: str, outcome: CheckOutcome, reason: Reason | None, words: Words) -> Lines:
    """Return the lines for a check that did not pass; empty if the tables have none."""
    if outcome is CheckOutcome.UNKNOWN:
        return filled(UNKNOWN.get(check, ()), words)
    by_outcome = WARNED.get(check) if outcome is CheckOutcome.WARN else None
    if by_outcome is not None:
        return filled(by_outcome, words)
    step = Step.TOKEN if check == "token" or check.endswith("_entra") else None
    shared = () if reason is None else advice(reason, step, _names(words, step))
    fixes = (OF_CERTIFICATE if words.kind is CredentialKind.CLIENT_CERTIFICATE else {}).get(check) or FIXES.get(check, ())
    return in_lines(shared, words, step) or filled(fixes, words)


def in_lines(texts: Lines, words: Words, step: Step | None = None) -> Lines:
    """Return actions as lines, each command on its own line.

    The check replaces the probe in them.
    """
    names = _names(words, step)
    spared = (DO_NOT_RESTART, REPEAT, *((FIND_OBJECT_ID,) if words.object_id else ()))
    kept = (text for text in texts if text not in spared)
    given = (text.replace(_FROM_PROBE, "below").replace(_PROBE, words.again) for text in kept)
    return tuple(line for text in given for line in _COMMAND.sub(r":\n  \1\n", with_names(text, names)).strip("\n").split("\n"))


def _names(words: Words, step: Step | None) -> Names:
    return Names(
        target="TARGET",
        vault=words.vault,
        key=words.key,
        version=words.version,
        client_id=words.client,
        object_id=words.object_id,
        secret_file=words.secret_file,
        host=words.entra if step is Step.TOKEN else None,
        proxy=words.proxy,
        kind=words.kind,
        aadsts=words.aadsts,
        client_address=words.client_address,
        vantage=words.vantage,
    )


def filled(lines: Lines, words: Words) -> Lines:
    """Fill in the target's names; for a Managed HSM, use its own role and flags."""
    cloud = cloud_of(words.vault)
    if cloud is not None and cloud.managed_hsm:
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
        "NEWEST_VERSION": words.newest or "NEWEST_VERSION",
        "PROBE_AGAIN": words.again,
        "CLIENT_ID": words.client or "CLIENT_ID",
        "OBJECT_ID": words.object_id or "OBJECT_ID",
        **modulus_words(words.modulus),
    }
    pattern = re.compile(r"\b(?:" + "|".join(known) + r")\b")
    return tuple(pattern.sub(lambda found: known[found[0]], line) for line in lines)
