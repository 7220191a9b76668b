"""What fails in SQL Servers themselves, how long their logs have room, and what to do first, as sentences.

Names were bounded and made printable when they were read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from exporter.core.codes import BY_CODE, Category
from exporter.tde.server_proof import ProofState, ServerProof, clock_text, login_text
from exporter.tde.urgency import closed_text, log_text, room_text

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
    Category.HOST: "On the host of {}, run `ekm-exporter doctor TARGET`: it tests the registry rights of SQL Server's service account and the DLL.",
}
_OPEN = (
    "Open it on {server}: `ALTER DATABASE [{database}] SET ONLINE;`{others} In an availability group, restart that node's service instead. "
    "Then repeat the log backups."
)
_REPEAT = "Repeat the failed log backups of {server}: they need no other change."
_CLOSED_WITH_MESSAGE = "Repair what {messages} shows for {server}. On that host, `ekm-exporter doctor TARGET` tests it."
_PROVE = "`ekm-exporter script prove.sql` prints a backup that breaks no chain."
_ACTIONS: Mapping[ProofState, str] = {
    ProofState.CLOSED: "Change nothing on {server} before the cause is known. On that host, run `ekm-exporter doctor TARGET`.",
    ProofState.PROVIDER_DISABLED: "Enable the provider on {server}: `ekm-exporter script verify.sql`, part 3, shows what is off.",
    ProofState.NO_CREDENTIAL: "Add a credential to {login} on {server}: {statement}",
    ProofState.STOPPED: f"Check that the backups of {{server}} run, unless another node of its group makes them. {_PROVE}",
    ProofState.DUE: f"Nothing, if a backup of {{server}} starts two hours after the change. {_PROVE}",
}


def urgency_text(servers: Sequence[ServerProof], now: float) -> str:
    """Return what is closed, since when backups fail, and how long the logs have room, for several SQL Servers together."""
    failing = {each.reading.address: each for each in servers if each.failed and each.since is not None}
    since = min((each.since for each in failing.values() if each.since is not None), default=None)
    of = next(iter(failing.values())).server if len(failing) == 1 else f"{len(failing):,} SQL Servers"
    fail = "" if since is None else f"backups of {of} fail since {clock_text(since, now)}"
    return "; ".join(filter(None, (closed_text(servers), fail, log_text(servers, now, named=True))))


def first_actions(servers: Sequence[ServerProof], first: ServerProof, ended_at: float | None, now: float) -> str:
    """Return what to do first for SQL Servers with one cause, with room for the most urgent log if it is soon needed."""
    others = " Then repeat it on the others." if len(servers) > 1 else ""
    room = "" if first.proof.closed or ended_at is not None or not first.state.is_bad else room_text(servers, now)
    return room + first_action(first, ended_at) + others


def first_action(server: ServerProof, ended_at: float | None = None) -> str:
    """Return what to do first about a missing proof; empty if nothing is to do.

    With `ended_at`, the fault of the vault that SQL Server shows has ended.
    """
    proof, where = server.proof, server.server.replace("`", "'")
    if ended_at is not None:
        return _open_text(server) if proof.closed else _REPEAT.format(server=where)
    cause = server.cause
    if cause is ProofState.FAILING:
        latest = server.codes[0]
        category = BY_CODE[int(latest.code)].category if latest.is_known else Category.UNKNOWN
        action = _ACTIONS_BY_CATEGORY.get(category, _READ_THE_LOG).format(where)
    else:
        # A command has no name that could end its quotation.
        names = {
            "server": where,
            "login": login_text(proof).replace("`", "'"),
            "statement": _add_credential(proof.login, proof.candidate),
            "messages": " and ".join(f"`ekm-exporter explain {each.code}`" for each in server.messages),
        }
        found = _CLOSED_WITH_MESSAGE if cause is ProofState.CLOSED and server.messages else _ACTIONS.get(cause, "")
        action = found.format(**names)
    return f"{action} Then open the databases." if proof.closed else action


def _open_text(server: ServerProof) -> str:
    """Return how to open the closed databases of a SQL Server, with a statement that can be copied."""
    first, where = server.proof.closed[0][0], server.server.replace("`", "'")
    more = len(server.proof.closed) - 1
    others = f" Do so for the other {more:,} too." if more else ""
    return _OPEN.format(server=where, database=first if _PLAIN.fullmatch(first) else "DATABASE", others=others)


def _add_credential(login: str, candidate: str) -> str:
    """Return the statement, which can be copied if both names are known."""
    known = [name if _PLAIN.fullmatch(name) else "" for name in (login, candidate)]
    statement = f"ALTER LOGIN [{known[0] or 'LOGIN'}] ADD CREDENTIAL [{known[1] or 'CREDENTIAL'}];"
    return f"`{statement}`" if all(known) else f"{statement} `ekm-exporter script verify.sql`, part 2, has the names."
