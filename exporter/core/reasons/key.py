"""The key: its state, its existence, its type and its bytes."""

from __future__ import annotations

from functools import partial

from exporter.core.causes import Link
from exporter.core.codes import BY_CODE
from exporter.core.codes.action_texts import AGAIN, REPEAT
from exporter.core.codes.readers import for_dba
from exporter.core.codes.shared import DO_NOT_RESTART, FIND_INTERCEPTION
from exporter.core.model import KEY_STEPS, Step
from exporter.core.reasons.row import Markers, ReasonRow, Refused, Reply, ShownBy, VaultOrder
from exporter.core.reasons.vault import inner_code

RECOVER_KEY = "`az keyvault key recover --vault-name VAULT --name KEY`"
_ATTRIBUTES = "az keyvault key set-attributes --vault-name VAULT --name KEY --version VERSION"
_CREATE = "az keyvault key create --vault-name VAULT --name NEW_KEY --kty RSA --size 2048"
_OPEN = (
    "CREATE ASYMMETRIC KEY [EKM_KEY] FROM PROVIDER [PROVIDER] "
    "WITH PROVIDER_KEY_NAME = 'NEW_KEY', CREATION_DISPOSITION = OPEN_EXISTING;"
)
_key = partial(ReasonRow, link=Link.KEY, refuses=Refused.KEY)
_state = partial(_key, refuses=Refused.KEY_STATE)
_dates = partial(_state, shown_by=ShownBy("key_dates", KEY_STEPS))


def _state_of_key(state: str) -> Markers:
    """Return the state that get_key reported as a marker of a refusal."""
    return Markers(VaultOrder.KEY_STATE, (f"key:{state}",), (403,))


_USERS = "in the vault's Logs: `ekm-exporter script key-users.kql --vault VAULT.vault.azure.net --key KEY`."

KEY: tuple[ReasonRow, ...] = (
    _state(
        "key_disabled",
        "the key version is disabled",
        shown_by=ShownBy("key_enabled", KEY_STEPS),
        markers=(inner_code("KeyDisabled", "disabled key", "secretdisabled"), _state_of_key("disabled")),
    ).advising(
        f"Enable the key version: `{_ATTRIBUTES} --enabled true`.",
        REPEAT,
        f"Find out who disabled it, {_USERS} The operation is KeyUpdate.",
        DO_NOT_RESTART,
    ),
    _dates(
        "key_expired", "the key version has expired", markers=(inner_code("KeyExpired", "expired key"), _state_of_key("expired"))
    ).advising(
        f"Extend its expiry: `{_ATTRIBUTES} --expires NEW_EXPIRY`. An expired key still unwraps but does not wrap.",
        REPEAT,
        for_dba("Then plan the rotation to a new key version. Rotation fails until the expiry is extended."),
        DO_NOT_RESTART,
    ),
    _dates(
        "key_not_yet_valid",
        "the key version is not valid yet",
        markers=(
            inner_code("KeyNotYetValid", "key is not yet valid|not allowed on a key that is not yet valid"),
            _state_of_key("not_yet_valid"),
        ),
    ).advising(
        f"Set an earlier start: `{_ATTRIBUTES} --not-before 2020-01-01T00:00:00Z`. Until then the key unwraps but does not wrap.",
        *AGAIN,
    ),
    _key(
        "key_operation_forbidden",
        "the key's permitted operations (key_ops) lack this one",
        shown_by=ShownBy("key_ops", KEY_STEPS),
        markers=(inner_code("KeyOperationForbidden", "is not permitted on this key"),),
    ).advising(
        "Show the permitted operations: `az keyvault key show --vault-name VAULT --name KEY --version VERSION --query key.keyOps`.",
        (
            "Permit both operations. The command replaces all, so name the key's other ones too: "
            f"`{_ATTRIBUTES} --ops wrapKey unwrapKey OTHER_OPERATIONS`."
        ),
        "Change no role and no access policy: they are not the cause.",
        *AGAIN,
    ),
    _key(
        "key_soft_deleted",
        "the key was deleted and can still be recovered",
        is_irreversible=True,
        shown_by=ShownBy("key_version", (Step.GET_KEY,)),
        markers=(Markers(VaultOrder.KEY_STATE, ("key:soft_deleted",), (404,)),),
    ).advising(
        f"Recover the key with all versions: {RECOVER_KEY}.",
        REPEAT,
        f"Find out who deleted it, {_USERS} The operation is KeyDelete.",
        DO_NOT_RESTART,
    ),
    _key(
        "key_not_found",
        "the vault has no such key or version",
        is_irreversible=True,
        shown_by=ShownBy("key_version", (Step.GET_KEY,)),
        markers=(Markers(VaultOrder.PERMISSION, ("keynotfound",), (404,)),),
    ),
    _key(
        "key_unsupported", "the connector does not support this key type or size", shown_by=ShownBy("key_type", (Step.GET_KEY,))
    ).advising(
        f"Create an RSA key of 2048 or 3072 bits and move SQL Server to it: `{_CREATE}`.",
        "A Managed HSM has `--kty RSA-HSM` only, which requires the connector of November 2020 or later.",
        *BY_CODE[3].actions[3:],
    ),
    _key(
        "key_name_too_long", "the key name is longer than the connector allows", shown_by=ShownBy("key_name", (Step.GET_KEY,))
    ).advising(
        f"Create a key with at most 26 letters, digits and hyphens in its name: `{_CREATE}`.",
        f"Then move SQL Server to it: `{_OPEN}`.",
        *BY_CODE[2049].actions[1:],
    ),
    _key(
        "bytes_differ",
        "unwrap returned bytes that differ from the wrapped ones",
        reply=Reply.FAILED,
        shown_by=ShownBy("round_trip", (Step.UNWRAP_KEY,)),
    ).advising(
        for_dba("Encrypt nothing with this key, and rotate no key, until support has examined it."),
        REPEAT,
        FIND_INTERCEPTION,
        for_dba("Open a support request with both request ids from the probe (wrap and unwrap)."),
        DO_NOT_RESTART,
    ),
)
