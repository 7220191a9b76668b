"""A vault that refuses the token, the caller or the address."""

from __future__ import annotations

from functools import partial

from exporter.core.causes import Link
from exporter.core.codes.action_texts import (
    AGAIN,
    ASSIGNEE,
    COMPARE_HOSTS,
    FIND_OBJECT_ID,
    PROBE,
    SHOW_POLICIES,
    SHOW_ROLES,
    SHOW_ZONE_LINKS,
    STATUS_PAGE,
    SYNCHRONISE,
    USE_ITS_TENANT,
)
from exporter.core.codes.readers import for_dba, for_exporter, for_network
from exporter.core.codes.shared import DO_NOT_RESTART, SHOW_THE_SERVER
from exporter.core.model import KEY_STEPS
from exporter.core.reasons.row import AtSignIn, ByAddress, Markers, ReasonRow, Refused, Reply, ShownBy, VaultOrder, implied

CHECK_ROUTE = "Check the proxy and the network policy between this host and Entra ID."
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
_NETWORK_RULE = "`az keyvault network-rule add --{} VAULT --ip-address ADDRESS`"
_FIREWALL = (
    COMPARE_HOSTS,
    f"If the vault refuses there too, allow the address that the probe shows there: {_NETWORK_RULE.format('name')}.",
)
_ONLY_PRIVATE = "The vault only accepts private endpoints, and the request came from outside. Approve a pending endpoint: "
_RESOLVES_PRIVATELY = (
    for_network(
        "On the SQL Server host, the vault's name must resolve to the address of its endpoint: `Resolve-DnsName VAULT.vault.azure.net`."
    ),
    for_network(f"If it is public, link the zone `DNS_ZONE` to this network. Show its links: {SHOW_ZONE_LINKS}."),
    DO_NOT_RESTART,
)
# A Managed HSM has roles of its own and no access policies.
_HSM_ROLE = (
    "Assign the role to the principal on the key: `az keyvault role assignment create --hsm-name VAULT "
    f'--role "Managed HSM Crypto Service Encryption User" {ASSIGNEE} --scope /keys/KEY`.'
)
_MOVED = "a subscription that moves to another tenant takes its vaults with it"
_POLICY = "an Azure Policy, a template or a network perimeter closes many vaults"
_token = partial(ReasonRow, link=Link.CREDENTIAL, refuses=Refused.TOKEN, shown_by=ShownBy("audience", KEY_STEPS))
_permission = partial(
    ReasonRow,
    refuses=Refused.PERMISSION,
    spreads_to=(Link.CREDENTIAL,),
    shown_by=ShownBy("permission_{operation}", KEY_STEPS),
    on_hsm=(_HSM_ROLE, FIND_OBJECT_ID, *AGAIN),
    one_change="a role at a resource group or subscription covers many vaults, and a template sets the access policies of many",
)
_address = partial(_permission, refuses=Refused.ADDRESS, shown_by=ShownBy("firewall", KEY_STEPS), on_hsm=(), one_change=_POLICY)

inner_code = partial(implied, VaultOrder.INNER_CODE, statuses=(403,))
_permission_code = partial(implied, VaultOrder.PERMISSION, statuses=(403,))

VAULT: tuple[ReasonRow, ...] = (
    _token("token_rejected", "the vault rejected the token", is_open=True).advising(
        "Read the vault's sentence in the detail of the step. If it names no cause, retry in ten minutes.", STATUS_PAGE, *AGAIN
    ),
    _token("token_wrong_audience", "the token is for another service").advising(
        "Check that the vault's host name belongs to this cloud, and that no proxy rewrites the vault's 401.",
        for_network(SHOW_THE_SERVER),
        *AGAIN,
    ),
    _token("token_wrong_issuer", "the token was issued by another tenant than the vault's", one_change=_MOVED).advising(
        *USE_ITS_TENANT
    ),
    _token(
        "token_expired",
        "the token had expired when the vault received it",
        one_change="the clock of this host is that of all its sign-ins",
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
        "the vault's network security perimeter blocks this network",
        markers=(inner_code("ForbiddenByNsp", "forbidden by nsp policy"),),
    ).advising(
        "Add the public address of the SQL Server host: `Network security perimeters > PERIMETER > Profiles > PROFILE > Inbound access rules`.",
        "Or use a private endpoint, which the perimeter does not filter.",
        "Trusted Azure services are blocked too: the perimeter overrides that exception.",
        *AGAIN,
    ),
    _address(
        "forbidden_connection",
        "the vault only accepts private endpoints",
        on_hsm=(
            f"{_ONLY_PRIVATE}`Azure Key Vault Managed HSMs > VAULT > Networking > Private endpoint connections`.",
            *_RESOLVES_PRIVATELY,
        ),
        markers=(inner_code("ForbiddenByConnection", "public network access is disabled|not an approved private link"),),
    ).advising(
        f"{_ONLY_PRIVATE}`Key vaults > VAULT > Settings > Networking > Private endpoint connections`.",
        *_RESOLVES_PRIVATELY,
    ),
    _address(
        "forbidden_firewall",
        "the vault's firewall blocks this address",
        markers=(inner_code("ForbiddenByFirewall", r"client address (?:\([^)]{0,64}\) )?is not authorized"),),
        by_address=ByAddress(
            # An IP rule cannot name a private address: the request came through a service endpoint or an own network.
            private=(
                COMPARE_HOSTS,
                "The vault saw the private address `SEEN_ADDRESS`. IP rules take public addresses only, so permit the network instead.",
                "For a virtual network with the service endpoint Microsoft.KeyVault: `az keyvault network-rule add --name VAULT --subnet SUBNET_ID`.",
                "Or use a private endpoint, which the vault's firewall does not filter.",
                DO_NOT_RESTART,
            ),
            sql_host=(
                f"Allow the address of this host, and that of each other node, which can be another one: {_NETWORK_RULE.format('name')}.",
                for_dba(f"Run {PROBE} on each other node: it shows the address there."),
                DO_NOT_RESTART,
            ),
            other_host=(
                *_FIREWALL,
                for_exporter(
                    "`SEEN_ADDRESS` is the address of this exporter, not of SQL Server: a rule for it repairs the monitoring only."
                ),
                DO_NOT_RESTART,
            ),
        ),
    ).advising(*_FIREWALL, DO_NOT_RESTART),
    _permission(
        "forbidden_policy",
        "the vault's access policies do not allow the operation",
        markers=(
            _permission_code("ForbiddenByPolicy", r"does not have \w{1,32} [\w ]{0,32}permission|not found on any access policy"),
        ),
    ).advising(
        f"Show the present permissions: {SHOW_POLICIES}.",
        (
            "Set those of the principal. The command replaces its key permissions, so name its other ones too: `az keyvault set-policy "
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
        (
            "Assign the role to the principal on the key: "
            f'`az role assignment create --role "Key Vault Crypto Service Encryption User" {ASSIGNEE} --scope VAULT_ID/keys/KEY`.'
        ),
        "VAULT_ID is the output of `az keyvault show --name VAULT --query id --output tsv`. Without `/keys/KEY`, the role covers all keys of the vault. It takes minutes to become active.",
        FIND_OBJECT_ID,
        *AGAIN,
    ),
    _permission(
        "forbidden",
        "the vault identified the caller and refused the operation",
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
        f"If roles decide and none allows the key, assign `Key Vault Crypto Service Encryption User`. Show them: {SHOW_ROLES}.",
        f"If policies decide and none allows `get`, `wrapKey` and `unwrapKey`, add them. Show them: {SHOW_POLICIES}.",
        "If the firewall's rules lack the address of the SQL Server host, add it. Show them: `az keyvault network-rule list --name VAULT`.",
        FIND_OBJECT_ID,
        for_dba("The commands of a change: run `ekm-exporter explain` with its reason, such as `forbidden_rbac`."),
        DO_NOT_RESTART,
    ),
)
