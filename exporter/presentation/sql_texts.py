"""What fails in SQL Servers themselves, how long their logs have room, and what to do first, as sentences.

Names were bounded and made printable when they were read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from exporter.core.codes import BY_CODE, Category
from exporter.tde.server_proof import ProofState, ServerProof, clock_text, closed_text, log_text, login_text

_PLAIN = re.compile(r"[\w.\\$ @-]{1,128}")  # a name that a command may contain
_READ_THE_LOG = "Read the lines of {}: `EXEC sys.sp_readerrorlog 0, 1, N'Provider error code';`"
_OTHER_IDENTITY = (
    "{} signs in with another identity than the probe, or uses another key. Compare both: `ekm-exporter script verify.sql` has the "
    "queries."
)
# The first action for a code of the provider, while a probe succeeds.
_ACTIONS_BY_CATEGORY: Mapping[Category, str] = {
    Category.IDENTITY: "Write the present secret into the credential on {}: `ekm-exporter script alter-credential.sql` has the "
    "statement. Then repeat a log backup.",
    Category.NETWORK: "Test the way from {} to the vault, with the proxy of SQL Server's service account. The exporter's way works.",
    Category.PERMISSION: _OTHER_IDENTITY,
    Category.MISSING: _OTHER_IDENTITY,
    Category.HOST: "Check the registry rights of SQL Server's service account and the DLL on {}: `ekm-exporter script verify.sql`, part 3.",
}
_PROVE = "`ekm-exporter script prove.sql` prints a backup that breaks no chain."
_ACTIONS: Mapping[ProofState, str] = {
    ProofState.PROVIDER_DISABLED: "Enable the provider on {server}: `ekm-exporter script verify.sql`, part 3, shows what is off.",
    ProofState.NO_CREDENTIAL: "Add a credential to {login} on {server}: {statement}",
    ProofState.STOPPED: f"Check that the backups of {{server}} run, unless another node of its group makes them. {_PROVE}",
    ProofState.DUE: f"Nothing, if a backup of {{server}} starts two hours after the change. {_PROVE}",
}


def urgency_text(servers: Sequence[ServerProof], now: float) -> str:
    """Return what is closed, since when backups fail, and how long the logs have room, for several SQL Servers together."""
    closed = next(filter(None, map(closed_text, servers)), "")
    failing = {each.reading.address: each for each in servers if each.failed and each.since is not None}
    since = min((each.since for each in failing.values() if each.since is not None), default=None)
    of = next(iter(failing.values())).server if len(failing) == 1 else f"{len(failing):,} SQL Servers"
    fail = "" if since is None else f"backups of {of} fail since {clock_text(since, now)}"
    return "; ".join(filter(None, (closed, fail, log_text(servers, now, named=True))))


def first_action(server: ServerProof) -> str:
    """Return what to do first about a missing proof; empty if nothing is to do."""
    login, where = server.proof.login, server.server.replace("`", "'")
    if server.state is ProofState.FAILING:
        latest = server.codes[0]
        category = BY_CODE[int(latest.code)].category if latest.is_known else Category.UNKNOWN
        return _ACTIONS_BY_CATEGORY.get(category, _READ_THE_LOG).format(where)
    # A command has no name that could end its quotation.
    names = {
        "server": where,
        "login": login_text(server.proof).replace("`", "'"),
        "statement": _add_credential(login, server.proof.candidate),
    }
    return _ACTIONS[server.state].format(**names) if server.state in _ACTIONS else ""


def _add_credential(login: str, candidate: str) -> str:
    """Return the statement, which can be copied if both names are known."""
    known = [name if _PLAIN.fullmatch(name) else "" for name in (login, candidate)]
    statement = f"ALTER LOGIN [{known[0] or 'LOGIN'}] ADD CREDENTIAL [{known[1] or 'CREDENTIAL'}];"
    return f"`{statement}`" if all(known) else f"{statement} `ekm-exporter script verify.sql`, part 2, has the names."
