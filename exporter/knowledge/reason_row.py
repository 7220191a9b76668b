"""`ReasonRow`: everything that is known of one reason, and the closed lists that its fields use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import Enum, IntEnum, StrEnum
from typing import Self

from exporter.core.values import CredentialKind, Step


class Link(StrEnum):
    """The links from the exporter's host to SQL Server, in their order."""

    HOST = "host"
    PROXY = "proxy"
    ENTRA = "entra"
    REGION = "region"
    CREDENTIAL = "credential"
    VAULT = "vault"
    KEY = "key"


Actions = tuple[str, ...]


class Reply(StrEnum):
    """What the service did."""

    NONE = "unreachable"
    THROTTLED = "throttled"
    REFUSED = "refused"
    FAILED = "failed"  # it responded with an error of its own, or with an unusable response
    NOT_TESTED = "not_tested"


class Refused(Enum):
    """What the service, or the connector before it, refuses."""

    CREDENTIAL = "credential"
    EXPIRED_CREDENTIAL = "expired_credential"
    TOKEN = "token"  # noqa: S105 - what is refused
    PERMISSION = "permission"
    ADDRESS = "address"
    KEY = "key"
    KEY_STATE = "key_state"


class EntraOrder(IntEnum):
    """The order of the markers of Entra ID: the first match gives the reason."""

    NUMBER = 0  # with one meaning
    WORD = 1
    SENTENCE = 2
    AMBIGUOUS_NUMBER = 3  # with several meanings
    VAGUE_NUMBER = 4  # next to a more specific one
    ANY_NUMBER = 5  # other devices send none
    PAGE = 6


class VaultOrder(IntEnum):
    """The order of the markers of vaults: the first match gives the reason."""

    TOKEN = 0
    PAGE = 1
    INNER_CODE = 2
    KEY_STATE = 3  # a vault may also report a missing permission for such a key
    PERMISSION = 4


@dataclass(frozen=True, slots=True)
class Markers:
    """Words of an error body, in lower case; one is enough, at any of `statuses` (empty: any).

    `inner_code` is what `sentence`, a pattern, implies if the service sends no specific one.
    """

    order: EntraOrder | VaultOrder
    words: tuple[str, ...]
    statuses: tuple[int, ...] = ()
    inner_code: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class ShownBy:
    """The preflight check that shows the reason at `steps`: a name, with `{host}` or `{operation}` in it."""

    check: str
    steps: tuple[Step, ...] = tuple(Step)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtSignIn:
    """What differs if the step is the sign-in; an empty field does not."""

    link: Link = Link.CREDENTIAL
    text: str = ""
    meaning: str = ""
    reply: Reply | None = None
    actions: Actions = ()


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason. `name` is the public label. `text` completes "the step failed because ...".

    `meaning` says what happened, if the sentence of `text` does not suffice; `{service}` in it is the vault or Entra ID. Both
    are true for every answer that has the reason, also for that of another device than the service.
    """

    name: str
    text: str
    _: KW_ONLY
    meaning: str = ""
    reply: Reply = Reply.REFUSED
    link: Link = Link.VAULT  # that it breaks, except at the sign-in
    spreads_to: tuple[Link, ...] = ()  # many of them break this earlier link
    one_change: str = ""  # that breaks it in several vaults or credentials, one after another; empty if none does
    is_of_host: bool = False  # no vault can cause it
    is_irreversible: bool = False  # keys are lost, or are lost for good after some time
    refuses: Refused | None = None
    is_of_service: bool = False  # the service is at fault, although it sent no response or refused the request
    is_open: bool = False  # the cause is open: the masked detail names it, as a sentence, an endpoint or the content of a file
    shown_by: ShownBy | None = None  # None, or another step: the check of the step
    markers: tuple[Markers, ...] = ()
    status: int = 400  # of Entra ID, with one of its numbers
    at_sign_in: AtSignIn = AtSignIn()
    actions: Actions = ()  # empty: those of the code
    on_hsm: Actions = ()  # on a Managed HSM, if they differ
    by_kind: Mapping[CredentialKind, Actions] = field(default_factory=dict)  # at the sign-in
    if_private: Actions = ()  # if the vault saw a private address
    if_page: Actions = ()  # if the body is a page, a text or other JSON

    def advising(self, *actions: str) -> Self:
        """Return the row with its first actions."""
        return replace(self, actions=actions)

    def text_at(self, step: Step) -> str:
        return (self.at_sign_in.text if step is Step.TOKEN else "") or self.text

    def meaning_at(self, step: Step) -> str:
        """Return what happened, as a sentence of at most 300 characters without any word of a server."""
        text = self.text_at(step)
        own = self.meaning if text == self.text else ""
        if step is Step.TOKEN:
            own = self.at_sign_in.meaning or own
        default = f"No answer from {{service}}: {text}." if self.reply_at(step) is Reply.NONE else sentence(text)
        return (own or default).format(service="Entra ID" if step is Step.TOKEN else "the vault")

    def reply_at(self, step: Step) -> Reply:
        return (self.at_sign_in.reply if step is Step.TOKEN else None) or self.reply

    def link_at(self, step: Step) -> Link:
        """Return the link that it breaks. Every step passes the host and the proxy."""
        return self.at_sign_in.link if step is Step.TOKEN and self.link not in (Link.HOST, Link.PROXY) else self.link


def sentence(text: str) -> str:
    """Return a text as a sentence, with a capital and a full stop; nothing for an empty one."""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def numbers(*of_entra: int, order: EntraOrder = EntraOrder.NUMBER) -> Markers:
    """Return AADSTS numbers as markers."""
    return Markers(order, tuple(f"aadsts{number}" for number in of_entra))


def implied(
    order: EntraOrder | VaultOrder, inner_code: str, sentence: str, *words: str, statuses: tuple[int, ...] = ()
) -> Markers:
    """Return an inner code as a marker, the sentence that implies it, and `words` that mean the same."""
    return Markers(order, (inner_code.lower(), *words), statuses, inner_code, sentence)
