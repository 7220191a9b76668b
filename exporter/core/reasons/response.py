"""Responses: of another server, unusable, or with only a status."""

from __future__ import annotations

from functools import partial

from exporter.core.causes import Link
from exporter.core.codes import BY_CODE
from exporter.core.codes.action_texts import AGAIN, CAUSE_IS_ELSEWHERE, KEEP_CREDENTIAL, SHOW_CONNECTION, SIGN_IN_LOG, STATUS_PAGE
from exporter.core.codes.readers import for_exporter
from exporter.core.codes.shared import DO_NOT_RESTART, FIND_INTERCEPTION, SHOW_THE_SERVER, SUPPORT
from exporter.core.model import CredentialKind, Step
from exporter.core.reasons.key import RECOVER_KEY
from exporter.core.reasons.row import AtSignIn, EntraOrder, Markers, ReasonRow, Refused, Reply, ShownBy, VaultOrder, numbers
from exporter.core.reasons.vault import CHECK_ROUTE, OTHER_DEVICE, READ_SENTENCE

_ENTRA_LINK = AtSignIn(link=Link.ENTRA)
_OTHER_SERVER = (*BY_CODE[3017].actions[:2], FIND_INTERCEPTION, DO_NOT_RESTART)
_OTHER_STATUS = (
    FIND_INTERCEPTION,
    "Compare the response from another network: Key Vault and Entra ID do not send this status.",
    DO_NOT_RESTART,
)
_READ = "Read the response in the detail of the probe"
_SLOW_DOWN = for_exporter("If the exporter is the cause, increase `interval`, or reuse tokens: `token_max_age`.")
# Key Vault and Entra ID send no page and no text with these statuses: another device sent it.
_PAGE = ("body:page",)
_UNAVAILABLE = ("temporarily_unavailable",)
_DEVICE = "a device on the route answers in place of many vaults"
_challenge = partial(ReasonRow, reply=Reply.FAILED, actions=_OTHER_SERVER, one_change=_DEVICE)
_answer = partial(ReasonRow, reply=Reply.FAILED, at_sign_in=_ENTRA_LINK, one_change=_DEVICE)
_status = partial(ReasonRow, is_open=True)

CHALLENGE: tuple[ReasonRow, ...] = (
    _challenge(
        "no_challenge",
        "the server responded without requesting a token",
        reply=Reply.NONE,
        spreads_to=(Link.HOST,),
        at_sign_in=_ENTRA_LINK,
    ),
    _challenge("challenge_absent", "the vault's 401 names no sign-in host"),
    _challenge("challenge_malformed", "the connector cannot read the sign-in host in the vault's 401"),
    _challenge("authority_untrusted", "the vault names a sign-in host that is not Entra ID", is_open=True).advising(
        f"{SHOW_THE_SERVER} No secret was sent.",
        for_exporter(
            "In a private cloud, verify who operates the sign-in host in the response. Then set `authority_host` in the module."
        ),
        DO_NOT_RESTART,
    ),
    _challenge("resource_mismatch", "the vault requests a token for another service", is_open=True),
)
ANSWER: tuple[ReasonRow, ...] = (
    _answer("answer_empty", "the response is empty"),
    _answer(
        "answer_not_json",
        "the response is not the JSON of the service",
        is_open=True,
        markers=(Markers(EntraOrder.PAGE, _PAGE, (400, 401)), Markers(VaultOrder.PAGE, _PAGE, (400, 401, 403, 404, 409, 429))),
    ).advising(
        f"{SHOW_CONNECTION} Key Vault and Entra ID respond with JSON.",
        "A page, text or other JSON comes from a proxy, a portal or a security appliance on the route. Allow both hosts there.",
        FIND_INTERCEPTION,
        *AGAIN,
    ),
    _answer("answer_incomplete", "the response lacks a required field"),
    _answer("answer_malformed", "the response has a field with an invalid value", is_open=True),
)
STATUS: tuple[ReasonRow, ...] = (
    _status(
        "throttled",
        "the service receives more requests than it allows",
        reply=Reply.THROTTLED,
        is_open=False,
        # 50196: too many equal requests of one client
        markers=(numbers(90055, 50196), Markers(EntraOrder.WORD, _UNAVAILABLE, (429,))),
        at_sign_in=AtSignIn(
            link=Link.ENTRA,
            text="Entra ID, or the identity service of this host, throttles the sign-ins",
            actions=(
                f"Find the application's other clients in the sign-in log, and stop the one that loops: `{SIGN_IN_LOG}`.",
                _SLOW_DOWN,
                DO_NOT_RESTART,
            ),
        ),
        by_kind={
            CredentialKind.MANAGED_IDENTITY: (
                "Read the endpoint in the detail of the probe. An Azure VM's 169.254.169.254 throttles the programs of this VM together.",
                "Then find the other programs on this host that request tokens, and slow the one that loops.",
                _SLOW_DOWN,
                DO_NOT_RESTART,
            )
        },
    ),
    _status(
        "entra_unavailable",
        "Entra ID is unavailable",
        reply=Reply.FAILED,
        is_open=False,
        markers=(
            numbers(90033, 90006, 90024, 90090, 90091, 90092, 90012, 90036, 50000, 50033, 50087),
            Markers(EntraOrder.WORD, _UNAVAILABLE),
        ),
        at_sign_in=_ENTRA_LINK,
    ).advising(
        f"{STATUS_PAGE} Entra ID failed, not the vault.",
        "If another network gets a token, a proxy or gateway on this route failed.",
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
        SUPPORT,
    ),
    _status(
        "bad_request",
        "the request was rejected as malformed",
        refuses=Refused.KEY,
        shown_by=ShownBy("round_trip", (Step.UNWRAP_KEY,)),
        at_sign_in=AtSignIn(
            text="Entra ID rejected the sign-in as malformed, without a number",
            actions=(
                f"{_READ}. Entra ID names a number in each of its refusals; this one has none.",
                CHECK_ROUTE,
                KEEP_CREDENTIAL,
                *AGAIN,
            ),
        ),
    ).advising(
        f"{_READ}: it names what is refused.",
        "Compare the name letter by letter with `az keyvault key list --vault-name VAULT`.",
        "Show type and size of the key: `az keyvault key show --vault-name VAULT --name KEY --query key`. The connector needs RSA.",
        *AGAIN,
    ),
    _status(
        "not_found",
        "the URL does not exist",
        refuses=Refused.KEY,
        shown_by=ShownBy("key_version", (Step.GET_KEY,)),
        at_sign_in=OTHER_DEVICE,
        # A vault that lacks a key names it, with a code of its own.
    ).advising(f"{_READ}. If it names no key, another server may have responded.", SHOW_THE_SERVER, *BY_CODE[3076].actions),
    _status(
        "conflict",
        "the current state of the key or vault does not allow the request",
        is_of_service=True,
        at_sign_in=OTHER_DEVICE,
    ).advising(
        READ_SENTENCE,
        "If a change to the key or vault is in progress, wait a minute.",
        f"If the key is deleted, recover it: {RECOVER_KEY}.",
        *AGAIN,
        SUPPORT,
    ),
    _status("client_error", "the request was rejected", at_sign_in=OTHER_DEVICE, one_change=_DEVICE).advising(*_OTHER_STATUS),
    _status(
        "server_error",
        "the service failed",
        reply=Reply.FAILED,
        spreads_to=(Link.REGION,),
        at_sign_in=_ENTRA_LINK,
        one_change="an outage of Azure has many vaults",
    ).advising(
        STATUS_PAGE,
        "If the detail of the probe is a page or a text, a proxy or gateway on the route may have failed: compare with another network.",
        DO_NOT_RESTART,
        SUPPORT,
    ),
    _status(
        "unexpected_status", "the response has a status that is not valid here", reply=Reply.FAILED, one_change=_DEVICE
    ).advising(*_OTHER_STATUS),
)
