"""Codes 3300 to 3308: signing in at Entra ID and reading the token."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import DO_NOT_RESTART, FIND_INTERCEPTION, REWRITTEN, SERVICE_DEFECT, SUPPORT, out_of_memory


def _unreadable(code: int, symbol: str, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.TOKEN,
        category=Category.PROTOCOL,
        owner=Owner.NETWORK,
        summary=f"{summary} The secret may be fine, but SQL Server cannot open a session with the vault.",
        causes=(*causes, SERVICE_DEFECT),
        actions=(
            "See what came back: `ekm-exporter probe TARGET`.",
            FIND_INTERCEPTION,
            DO_NOT_RESTART,
            SUPPORT,
        ),
    )


TOKEN_STEP: tuple[ConnectorError, ...] = (
    out_of_memory(3300, "ErrorGetTokenOutOfMemoryConcatPath", Layer.TOKEN, "building the address of the sign-in request"),
    out_of_memory(3301, "ErrorGetTokenOutOfMemoryConcatBody", Layer.TOKEN, "building the body of the sign-in request"),
    out_of_memory(3302, "ErrorGetTokenOutOfMemoryConvertResponseString", Layer.TOKEN, "converting Entra ID's answer to text"),
    ConnectorError(
        code=3303,
        symbol="ErrorGetTokenBadCredentials",
        layer=Layer.TOKEN,
        category=Category.IDENTITY,
        owner=Owner.IDENTITY,
        alias=3010,
        summary=(
            "Entra ID refused the credential (401), so SQL Server gets no token and no key. Databases that are open go on; after "
            "the next restart they stay in RECOVERY PENDING."
        ),
        causes=(
            "The client secret has expired (AADSTS7000222). This is the usual one.",
            "The secret was renewed in Entra ID, but SQL Server still has the old one: no ALTER CREDENTIAL, or no restart since.",
            "The string is wrong (AADSTS7000215): the secret's id instead of its value, or hyphens left in the client id.",
            "The certificate is not registered with the application, or has expired (AADSTS700027).",
            "The clock is minutes off, which spoils certificate sign-in (AADSTS700024).",
        ),
        actions=(
            "See which secrets have ended: `az ad app credential list --id CLIENT_ID`.",
            "Make a new secret beside the old one: `az ad app credential reset --id CLIENT_ID --append`.",
            "Try it before SQL Server does: put it into the exporter's secret file, then `ekm-exporter probe TARGET`.",
            "On every replica: `ALTER CREDENTIAL CRED WITH IDENTITY = 'VAULT', SECRET = 'STRING';`.",
            "The string is the client id without hyphens followed by the secret's value, at most 120 characters.",
            "Only when the probe succeeds, restart the SQL Server service; databases then leave RECOVERY PENDING by themselves.",
        ),
    ),
    ConnectorError(
        code=3304,
        symbol="ErrorGetTokenFailedToGetToken",
        layer=Layer.TOKEN,
        category=Category.IDENTITY,
        owner=Owner.IDENTITY,
        summary=(
            "No token came, although nobody refused one: the identity could not be asked. From a probe this concerns managed and "
            "workload identities; SQL Server without a token cannot reach its keys."
        ),
        causes=(
            "No managed identity is assigned to the machine, or in SQL Server none is set as the primary one.",
            "The probing host is not the one that owns the identity: it can only be asked there.",
            "Firewall or proxy settings keep the identity endpoint (169.254.169.254) from answering.",
            "Workload identity: the projected token file or its environment variables are missing in the pod.",
            "SQL Server: managed identity needs 2022 CU17 and the connector of November 2024.",
        ),
        actions=(
            "Is one assigned? `az vm identity show --resource-group GROUP --name VM`.",
            "Ask from that host itself: run `ekm-exporter probe TARGET` there.",
            "Exempt 169.254.169.254 from every proxy.",
            DO_NOT_RESTART,
        ),
    ),
    ConnectorError(
        code=3305,
        symbol="ErrorGetTokenRejected",
        layer=Layer.TOKEN,
        category=Category.IDENTITY,
        owner=Owner.IDENTITY,
        alias=3010,
        summary=(
            "Entra ID issued a token, and the vault rejects it as made for someone else: wrong tenant or wrong audience. The secret "
            "is good; SQL Server still gets no key."
        ),
        causes=(
            "Vault and application are in different tenants (AKV10032), often since the subscription was moved.",
            "The token is for another service (AKV10022): a Managed HSM and a vault need different ones, as do national clouds.",
        ),
        actions=(
            "Which tenant does the vault trust? `az keyvault show --name VAULT --query properties.tenantId`.",
            "Compare with `tenant_id` of the credential; take an application from the vault's tenant.",
            "After a move of the subscription, set the vault's tenant anew and give the permissions again.",
            DO_NOT_RESTART,
        ),
    ),
    _unreadable(
        3306,
        "ErrorGetTokenNotFound",
        "Entra ID's answer is JSON but has no `access_token` in it.",
        REWRITTEN,
        "The sign-in host is not Entra ID but a stand-in: look at `authority_host` of the module.",
    ),
    _unreadable(
        3307,
        "ErrorGetTokenJsonParser",
        "The sign-in host said success, but what it sent is no JSON.",
        "A proxy's login or block page came back with status 200.",
        REWRITTEN,
    ),
    _unreadable(
        3308,
        "ErrorGetTokenExtractToken",
        "Entra ID's answer has an `access_token`, but not one that could be sent on: empty or with forbidden characters.",
        "The answer was altered on the way, for instance by a filter that blanks out secrets.",
        "The sign-in host is a stand-in that returns a dummy value.",
    ),
)
