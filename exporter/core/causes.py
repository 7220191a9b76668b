"""The cause of a failure: the broken link between this host and SQL Server. The row of its reason names the link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.core.model import Step

if TYPE_CHECKING:
    from exporter.core.reasons import Reason


class Link(StrEnum):
    """The links from this host to SQL Server, in their order."""

    HOST = "host"
    PROXY = "proxy"
    ENTRA = "entra"
    REGION = "region"
    CREDENTIAL = "credential"
    VAULT = "vault"
    KEY = "key"


TITLES: Mapping[Link, str] = {
    Link.HOST: "Exporter host",
    Link.PROXY: "Proxy",
    Link.ENTRA: "Entra ID",
    Link.REGION: "Region",
    Link.CREDENTIAL: "Credential",
    Link.VAULT: "Vault",
    Link.KEY: "Key",
}


SEVERAL: Final = (Link.CREDENTIAL, Link.VAULT, Link.KEY)  # one cause can break several of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The deciding failed step of a target, and the names of its links.

    `since` is the Unix time of the first failed probe. With `unsteady`, the target is ready now, and this is its most frequent failure.
    """

    step: Step
    reason: Reason | None
    names: Mapping[Link, str]
    since: float = 0.0
    is_first_seen: bool = False  # it may have begun before `since`
    not_ready: bool = False  # SQL Server could not open its databases
    unsteady: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """A broken link, its name, and the reason. With `unsteady`, the link is not broken now, but was several times.

    The name is empty for the host, and for a cause of several vaults, keys or credentials.
    """

    link: Link
    name: str
    reason: Reason | None
    unsteady: bool = False

    @property
    def is_several(self) -> bool:
        """Whether it is one cause of several vaults, keys or credentials."""
        return not self.name and self.link in SEVERAL

    @property
    def id(self) -> str:
        """Text of the query parameter `cause`."""
        return f"{self.link}:{self.name}:{self.reason or ''}{':unsteady' if self.unsteady else ''}"


def cause_of(failed: Failed) -> Cause:
    """Return the cause of one failure, without regard to other targets."""
    unknown = Link.CREDENTIAL if failed.step is Step.TOKEN else Link.VAULT
    link = unknown if failed.reason is None else failed.reason.row.link_at(failed.step)
    return Cause(link, failed.names.get(link, ""), failed.reason, failed.unsteady)
