"""Rows of the checks of the sign-in and of the vault's responses, such as its firewall."""

from __future__ import annotations

from exporter.core.checks.model import Check, FailureMoment
from exporter.core.codes import BY_CODE

SIGN_IN: tuple[Check, ...] = (
    Check(
        name="challenge",
        title="Challenge of the vault",
        question="Can the connector's literal parser read the vault's response to a request without a token?",
        code=3017,
        needs=("tls_vault",),
    ),
    Check(
        name="tenant",
        title="Tenant",
        question="Does the vault's challenge name the tenant of the credential?",
        code=3128,
        needs=("challenge",),
    ),
    Check(
        name="secret",
        title="Secret, as read here",
        question="Can the exporter read its own secret file?",
        effect="This is the exporter's copy of the secret. SQL Server has another copy, which was not tested.",
    ),
    Check(
        name="credential_string",
        title="Credential string",
        question="Does SECRET follow the rules: 32 hex digits without hyphens, then the secret, at most 120 characters?",
        code=2050,
        needs=("secret",),
        actions=BY_CODE[2050].actions,
        effect="SQL Server cannot sign in with such a string. Correct it before you write it into a credential.",
    ),
    Check(
        name="token",
        title="Token",
        question="Does Entra issue a token for the credential?",
        code=3303,
        needs=("challenge", "tenant", "credential_string", "tls_entra"),
    ),
    Check(
        name="audience",
        title="Audience of the token",
        question="Is the token for this vault's service, tenant and application, and does the vault accept it?",
        code=3305,
        needs=("token",),
        actions=(
            (
                "Check the application, and that no proxy changes responses of Entra or the vault: "
                "`az ad app show --id CLIENT_ID --query appId`."
            ),
        ),
    ),
    Check(
        name="firewall",
        title="Firewall of the vault",
        question="Does the vault accept requests from this network?",
        code=3077,
        needs=("audience",),
        moment=FailureMoment.KEY,
    ),
    Check(
        name="vault_answers",
        title="Responses of the vault",
        question="Are the vault's responses complete, readable, and free of errors and throttling?",
        code=3013,
        needs=("audience",),
        moment=FailureMoment.KEY,
    ),
)
