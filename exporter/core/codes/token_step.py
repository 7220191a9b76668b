"""Codes 3300 to 3308: the sign-in at Entra ID and its token."""

from __future__ import annotations

from exporter.core.codes.action_texts import ALTER, CRED_AND_STRING, RESET, USE_ITS_TENANT
from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.readers import for_dba
from exporter.core.codes.shared import (
    DO_NOT_RESTART,
    FIND_DEVICE,
    FIND_INTERCEPTION,
    REWRITTEN,
    SERVICE_DEFECT,
    SET_ONLINE,
    SUPPORT,
    WITHOUT_THE_KEY,
    out_of_memory_row,
)


def _unreadable(code: int, symbol: str, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.TOKEN,
        category=Category.PROTOCOL,
        owner=Owner.NETWORK,
        summary=f"{summary} The secret may be valid, but SQL Server cannot open a session with the vault.",
        effect=WITHOUT_THE_KEY,
        causes=(*causes, SERVICE_DEFECT),
        actions=(
            for_dba("Show the response: `ekm-exporter probe TARGET`."),
            FIND_INTERCEPTION,
            FIND_DEVICE,
            DO_NOT_RESTART,
            SUPPORT,
        ),
    )


TOKEN_STEP: tuple[ConnectorError, ...] = (
    out_of_memory_row(3300, "ErrorGetTokenOutOfMemoryConcatPath", Layer.TOKEN, "building the URL of the sign-in request"),
    out_of_memory_row(3301, "ErrorGetTokenOutOfMemoryConcatBody", Layer.TOKEN, "building the body of the sign-in request"),
    out_of_memory_row(
        3302, "ErrorGetTokenOutOfMemoryConvertResponseString", Layer.TOKEN, "converting Entra ID's response to text"
    ),
    ConnectorError(
        code=3303,
        symbol="ErrorGetTokenBadCredentials",
        layer=Layer.TOKEN,
        category=Category.IDENTITY,
        owner=Owner.IDENTITY,
        fallback=3010,
        summary="Entra ID refused the credential (401), so SQL Server gets no token and no key.",
        effect=WITHOUT_THE_KEY,
        causes=(
            "The client secret has expired (AADSTS7000222). This is the usual cause.",
            "SQL Server still uses an old secret: no ALTER CREDENTIAL after the renewal.",
            "The string is wrong (AADSTS7000215): the secret's id instead of its value, or hyphens in the client id.",
            "The certificate has expired or is not registered with the application (AADSTS700027).",
            "The clock is wrong by minutes, which invalidates certificate sign-in (AADSTS700024).",
        ),
        actions=(
            "List the secrets and their expiry: `az ad app credential list --id CLIENT_ID`.",
            f"Create a new secret and keep the old one: {RESET}.",
            for_dba(
                "Test it first: give it to the exporter, in `client_secret_file` or `client_secret_env`, then run `ekm-exporter probe TARGET`."
            ),
            for_dba(f"On every replica: {ALTER}."),
            CRED_AND_STRING,
            DO_NOT_RESTART,
            SET_ONLINE,
        ),
    ),
    ConnectorError(
        code=3304,
        symbol="ErrorGetTokenFailedToGetToken",
        layer=Layer.TOKEN,
        category=Category.IDENTITY,
        owner=Owner.IDENTITY,
        summary=(
            "No token was issued or refused: the identity endpoint of the host did not provide one. A probe reports this for "
            "managed and workload identities. Without a token, SQL Server cannot reach its keys."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "The machine has no managed identity, or SQL Server has no primary managed identity.",
            "The probe runs on another host. Only the host that owns the identity can use it.",
            "A firewall, proxy or pod network policy blocks the identity endpoint (169.254.169.254).",
            "Workload identity: the projected token file or its environment variables are missing in the pod.",
            "SQL Server: managed identity needs 2022 CU17 and the connector of November 2024.",
        ),
        actions=(
            for_dba("Run `ekm-exporter probe TARGET` on the host that owns the identity."),
            "Azure VM: check that one is assigned: `az vm identity show --resource-group GROUP --name VM`.",
            "Azure VM: exempt 169.254.169.254 from every proxy and network policy.",
            "Azure Arc: check that the agent is connected: `azcmagent show`. Its endpoint is `localhost:40342`.",
            DO_NOT_RESTART,
        ),
    ),
    ConnectorError(
        code=3305,
        symbol="ErrorGetTokenRejected",
        layer=Layer.TOKEN,
        category=Category.IDENTITY,
        owner=Owner.IDENTITY,
        fallback=3010,
        summary=(
            "Entra ID issued a token, but the vault rejects its tenant or audience. The secret is valid, but SQL Server gets no "
            "key."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "Vault and application are in different tenants (AKV10032), often after a subscription move.",
            "The token is for another service (AKV10022). A vault, a Managed HSM and each national cloud need different ones.",
        ),
        actions=USE_ITS_TENANT,
    ),
    _unreadable(
        3306,
        "ErrorGetTokenNotFound",
        "Entra ID's response is JSON but contains no `access_token`.",
        REWRITTEN,
        "The sign-in host is not Entra ID: check `authority_host` of the module.",
    ),
    _unreadable(
        3307,
        "ErrorGetTokenJsonParser",
        "The sign-in host reported success, but its response is not JSON.",
        "A proxy returned its login or block page with status 200.",
        REWRITTEN,
    ),
    _unreadable(
        3308,
        "ErrorGetTokenExtractToken",
        "The `access_token` in Entra ID's response is unusable: empty or with invalid characters.",
        "The response was altered in transit, for example by a filter that removes secrets.",
        "The sign-in host is a test server that returns a dummy value.",
    ),
)
