"""Rows of reasons: a vault that refuses the token, the caller or the address, and the key."""

from __future__ import annotations

from functools import partial

from exporter.core.values import KEY_STEPS, Step
from exporter.knowledge.code_row import (
    AGAIN,
    ASSIGN_AGAIN,
    ASSIGN_ROLE,
    ASSIGNEE,
    CONFIRM,
    DO_NOT_RESTART,
    FIND_INTERCEPTION,
    FIND_OBJECT_ID,
    RECOVER_VAULT,
    REPEAT,
    SHOW_THE_SERVER,
    SHOW_ZONE_LINKS,
    STATUS_PAGE,
    SYNCHRONISE,
    UNDO,
    USE_ITS_TENANT,
    for_dba,
    for_network,
)
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reason_row import (
    AtSignIn,
    Link,
    Markers,
    ReasonRow,
    Refused,
    Reply,
    ShownBy,
    VaultOrder,
    implied,
)

_SHOW_POLICIES = "`az keyvault show --name VAULT --query properties.accessPolicies`"

CHECK_ROUTE = "Check the proxy and the network policy between the probe's host and Entra ID."
# Statuses that Entra ID does not send for a sign-in: another device on the route responded.
OTHER_DEVICE = AtSignIn(
    link=Link.ENTRA,
    text="the sign-in got a status that Entra ID does not send for one",
    reply=Reply.NONE,
    actions=(
        CHECK_ROUTE,
        "A device on the route responded, not Entra ID, which does not send this status for a sign-in.",
        DO_NOT_RESTART,
    ),
)
READ_SENTENCE = "Read the vault's sentence in the detail of the probe: it names what is refused."
_FIND_DELETED = "Select the vault's subscription (az account list, az account set --subscription), and list its deleted vaults: `az keyvault list-deleted`. If this one is not there, it was purged, or its name is misspelt."
_READ_RECOVERY = for_dba("Each step, and the way without the vault: `ekm-exporter docs recovery`.")
_ONLY_PRIVATE = "The vault only accepts private endpoints, and the request came from outside. Approve a pending endpoint: "
_RESOLVES_PRIVATELY = (
    UNDO,
    for_network(
        "On the SQL Server host, the vault's name must resolve to the address of its endpoint: `Resolve-DnsName VAULT.vault.azure.net`."
    ),
    for_network(f"If it is public, link the zone `DNS_ZONE` to the network of that host. Show its links: {SHOW_ZONE_LINKS}."),
    DO_NOT_RESTART,
)
# A Managed HSM has roles of its own and no access policies.
_HSM_ROLE = (
    "Assign the role on the key: `az keyvault role assignment create --hsm-name VAULT "
    f'--role "Managed HSM Crypto Service Encryption User" {ASSIGNEE} --scope /keys/KEY`.'
)
_token = partial(ReasonRow, link=Link.CREDENTIAL, refuses=Refused.TOKEN, shown_by=ShownBy("audience", KEY_STEPS))
_permission = partial(
    ReasonRow,
    refuses=Refused.PERMISSION,
    spreads_to=(Link.CREDENTIAL,),
    shown_by=ShownBy("permission_{operation}", KEY_STEPS),
    on_hsm=(_HSM_ROLE, FIND_OBJECT_ID, *AGAIN),
    one_change="a role at a resource group or subscription covers many vaults, and a template sets the access policies of many",
)
_address = partial(
    _permission,
    refuses=Refused.ADDRESS,
    shown_by=ShownBy("firewall", KEY_STEPS),
    on_hsm=(),
    one_change="an Azure Policy, a template or a network perimeter closes many vaults",
)

inner_code = partial(implied, VaultOrder.INNER_CODE, statuses=(403,))
DENIED = "ForbiddenByDenyAssignment"  # of no service: its sentence implies it beside another code
_permission_code = partial(implied, VaultOrder.PERMISSION, statuses=(403,))

VAULT: tuple[ReasonRow, ...] = (
    ReasonRow(
        "vault_not_found",
        "the vault does not exist: it was deleted, or its name is wrong",
        is_irreversible=True,
        refuses=Refused.KEY,
        markers=(Markers(VaultOrder.PERMISSION, ("vaultnotfound",), (404,)),),
        on_hsm=(_FIND_DELETED, RECOVER_VAULT, _READ_RECOVERY, DO_NOT_RESTART),
    ).advising(_FIND_DELETED, RECOVER_VAULT, ASSIGN_AGAIN, _READ_RECOVERY, DO_NOT_RESTART),
    _token("token_rejected", "the token was rejected with 401", is_open=True).advising(
        "Read the vault's sentence in the detail of the probe. If it names no cause, retry in ten minutes.", STATUS_PAGE, *AGAIN
    ),
    _token("token_wrong_audience", "the token is for another service").advising(
        "Check that the vault's host name belongs to this cloud, and that no proxy rewrites the vault's 401.",
        for_network(SHOW_THE_SERVER),
        *AGAIN,
    ),
    _token(
        "token_wrong_issuer",
        "the token was issued by another tenant than the vault's",
        one_change="a subscription that moves to another tenant takes its vaults with it",
    ).advising(*USE_ITS_TENANT),
    _token(
        "token_expired",
        "the token had expired when the vault received it",
        one_change="the clock of one host is that of all its sign-ins",
        refuses=None,
        markers=(implied(VaultOrder.TOKEN, "TokenExpired", r"\[TokenExpired\]", statuses=(401,)),),
    ).advising(SYNCHRONISE, *AGAIN),
    _token(
        "token_revoked",
        "continuous access evaluation revoked the token",
        one_change="a Conditional Access policy covers many applications",
        markers=(Markers(VaultOrder.TOKEN, ("insufficient_claims", "akv10094"), (401,)),),
    ).advising(
        "Check whether the application was disabled: `az ad sp show --id CLIENT_ID --query accountEnabled`.",
        "Check the Conditional Access policies for workload identities: continuous access evaluation revoked the token.",
        *AGAIN,
    ),
    _token(
        "token_unverifiable",
        "the vault could not verify the token's signature at the moment",
        reply=Reply.FAILED,
        refuses=None,
        one_change="an outage of Azure has many vaults",
        markers=(Markers(VaultOrder.TOKEN, ("akv10046",), (401,)),),
    ).advising("Wait some minutes: the vault could not fetch the keys that verify tokens.", STATUS_PAGE, *AGAIN),
    _address(
        "forbidden_nsp",
        "the vault's network security perimeter blocks the probe's network",
        markers=(inner_code("ForbiddenByNsp", "forbidden by nsp policy"),),
    ).advising(
        *CONFIRM,
        "Add the public address of the SQL Server host: `Network security perimeters > PERIMETER > Profiles > PROFILE > Inbound access rules`.",
        UNDO,
        "Or use a private endpoint, which the perimeter does not filter.",
        "Trusted Azure services are blocked too: the perimeter overrides that exception.",
        *AGAIN,
    ),
    _address(
        "forbidden_connection",
        "the vault only accepts private endpoints",
        on_hsm=(
            *CONFIRM,
            f"{_ONLY_PRIVATE}`Azure Key Vault Managed HSMs > VAULT > Networking > Private endpoint connections`.",
            *_RESOLVES_PRIVATELY,
        ),
        markers=(inner_code("ForbiddenByConnection", "public network access is disabled|not an approved private link"),),
    ).advising(
        *CONFIRM,
        f"{_ONLY_PRIVATE}`Key vaults > VAULT > Settings > Networking > Private endpoint connections`.",
        *_RESOLVES_PRIVATELY,
    ),
    _address(
        "forbidden_firewall",
        "the vault's firewall blocks the probe's address",
        markers=(inner_code("ForbiddenByFirewall", r"client address (?:\([^)]{0,64}\) )?is not authorized"),),
        # An IP rule cannot name a private address: the request came through a service endpoint or an own network.
        if_private=(
            *CONFIRM,
            "Permit the virtual network, with the service endpoint Microsoft.KeyVault: `az keyvault network-rule add --name VAULT --subnet SUBNET_ID`.",
            UNDO,
            "The vault saw the private address `SEEN_ADDRESS`, and IP rules take public addresses only.",
            "Or use a private endpoint, which the vault's firewall does not filter.",
            DO_NOT_RESTART,
        ),
    ).advising(
        *CONFIRM,
        "Allow the public address of the SQL Server host: `az keyvault network-rule add --name VAULT --ip-address ADDRESS`. Each node can have another one.",
        UNDO,
        for_dba(
            "`ekm-exporter probe TARGET` on each node shows its address. A rule for the host of a central exporter repairs the monitoring only."
        ),
        DO_NOT_RESTART,
    ),
    _permission(
        "forbidden_policy",
        "the vault's access policies do not allow the operation",
        markers=(
            _permission_code("ForbiddenByPolicy", r"does not have \w{1,32} [\w ]{0,32}permission|not found on any access policy"),
        ),
    ).advising(
        f"Show the present permissions: {_SHOW_POLICIES}.",
        UNDO,
        (
            "Set those of the principal. The command replaces its key permissions: OTHER_PERMISSIONS are its other ones, if any: `az keyvault set-policy "
            "--name VAULT --object-id OBJECT_ID --key-permissions get wrapKey unwrapKey OTHER_PERMISSIONS`."
        ),
        FIND_OBJECT_ID,
        *AGAIN,
    ),
    _permission(
        "forbidden_rbac",
        "no role of the application allows the operation",
        markers=(_permission_code("ForbiddenByRbac", "not authorized to perform action"),),
    ).advising(
        f"Assign the role on the key: {ASSIGN_ROLE}.",
        FIND_OBJECT_ID,
        "Without `/keys/KEY`, the role covers all keys of the vault. It takes minutes to become active.",
        UNDO,
        *AGAIN,
    ),
    _permission(
        "forbidden_deny_assignment",
        "a deny assignment refuses the operation, whatever roles allow",
        on_hsm=(READ_SENTENCE, *AGAIN),
        markers=(inner_code(DENIED, r"\bdenyassignmentid: {0,4}'?(?!null\b|'|\()\S"),),
        one_change="a deny assignment at a resource group or subscription covers many vaults",
    ).advising(
        "Assign no role: a deny assignment overrides every role. Show it, and who is excluded: `Get-AzDenyAssignment -Scope VAULT_ID`.",
        "Only its owner can remove it or exclude the principal: of the managed application, deployment stack or blueprint that made it.",
        "The response names the assignment as DenyAssignmentId.",
        FIND_OBJECT_ID,
        UNDO,
        *AGAIN,
    ),
    _permission(
        "forbidden",
        "the vault, or a device on the route, refused the operation without a known cause",
        meaning="The operation was refused. The response names no cause that is known here: the vault sent it, or a device on the route.",
        is_open=True,
        at_sign_in=OTHER_DEVICE,
        on_hsm=(
            READ_SENTENCE,
            (
                "If no role allows the key, assign `Managed HSM Crypto Service Encryption User`. Show the roles: "
                "`az keyvault role assignment list --hsm-name VAULT --assignee-object-id OBJECT_ID`."
            ),
            FIND_OBJECT_ID,
            "If the firewall's rules lack the address of the SQL Server host, add it. Show them: `az keyvault network-rule list --hsm-name VAULT`.",
            "If the key version is disabled, enable it. Show it: `az keyvault key show --hsm-name VAULT --name KEY --query attributes`.",
            *AGAIN,
        ),
    ).advising(
        READ_SENTENCE,
        "Without a sentence, another device may have responded. Compare with another network.",
        "Do roles decide? `true` means yes: `az keyvault show --name VAULT --query properties.enableRbacAuthorization`.",
        "If roles decide and none allows the key, assign `Key Vault Crypto Service Encryption User`. Show them: `az role assignment list --assignee OBJECT_ID --scope VAULT_ID/keys/KEY --include-inherited --include-groups`.",
        f"If policies decide and none allows `get`, `wrapKey` and `unwrapKey`, add them. Show them: {_SHOW_POLICIES}.",
        "If the firewall's rules lack the address of the SQL Server host, add it. Show them: `az keyvault network-rule list --name VAULT`.",
        FIND_OBJECT_ID,
        for_dba("The commands of a change: run `ekm-exporter explain` with its reason, such as `forbidden_rbac`."),
        UNDO,
        DO_NOT_RESTART,
    ),
)

# The key: its state, its existence, its type and its bytes.

RECOVER_KEY = "`az keyvault key recover --vault-name VAULT --name KEY`"
_ATTRIBUTES = "az keyvault key set-attributes --vault-name VAULT --name KEY --version VERSION"
_CREATE = "az keyvault key create --vault-name VAULT --name NEW_KEY --kty RSA --size 2048"
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
        f"Permit both operations. The command replaces all, so name the key's other ones too: `{_ATTRIBUTES} --ops wrapKey unwrapKey OTHER_OPERATIONS`.",
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
        "Then move SQL Server to it: `CREATE ASYMMETRIC KEY [EKM_KEY] FROM PROVIDER [PROVIDER] WITH PROVIDER_KEY_NAME = 'NEW_KEY', CREATION_DISPOSITION = OPEN_EXISTING;`.",
        *BY_CODE[2049].actions[1:],
    ),
    _key(
        "bytes_differ",
        "unwrap returned bytes that differ from the wrapped ones",
        reply=Reply.FAILED,
        shown_by=ShownBy("round_trip", (Step.UNWRAP_KEY,)),
    ).advising(
        "Encrypt nothing with this key, and rotate no key, until support has examined it.",
        REPEAT,
        FIND_INTERCEPTION,
        for_dba("Open a support request with both request ids from the probe (wrap and unwrap)."),
        DO_NOT_RESTART,
    ),
)
