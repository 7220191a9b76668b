"""What fails in SQL Servers themselves, how long their logs have room, and what to do first, as sentences.

Names were bounded and made printable when they were read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exporter.core.codes import BY_CODE, Category
from exporter.core.codes.server_actions import SERVER_ACTIONS
from exporter.core.quoting import plain, prose, sql_name
from exporter.tde.server_proof import ProofState, ServerProof, clock_text, login_text
from exporter.tde.urgency import closed_text, room_text, stalled_text, times_text

_READ_THE_LOG = "Read the lines of {server}: `EXEC sys.sp_readerrorlog 0, 1, N'Provider error code';`"
_COMPARED = (Category.NETWORK, Category.PERMISSION, Category.MISSING)  # whose action compares with a probe that succeeds
_OTHER_IDENTITY = "{server} signs in with another identity than the probe, or uses another key. "
# What a page shows before the first action for a code of the provider: what a probe that succeeds, or the code, means.
_DIAGNOSES: Mapping[Category, str] = {
    Category.NETWORK: "The exporter's network path works. ",
    Category.PERMISSION: _OTHER_IDENTITY,
    Category.MISSING: _OTHER_IDENTITY,
    Category.HOST: "{meaning} ",
}
_NO_PROBE = (
    "No probe shows whether the vault side of {server} is ready. `ekm-exporter explain {code}` has the causes and their actions."
)
# Messages of SQL Server itself that have no code.
_MESSAGES: Mapping[str, str] = {
    "33027": "{server} could not load the connector's DLL (33027), usually a missing Visual C++ runtime.",
    "33111": "{server} did not get the key of its databases (33111).",
}
_OPEN = (
    "Open it on {server}: `ALTER DATABASE {database} SET ONLINE;`{others} In an availability group, restart that node's service instead. "
    "Then repeat the log backups."
)
_REPEAT = "Repeat the failed log backups of {server}: they need no other change."
_WITH_MESSAGE = "{meaning} {explain} has the repair. On that host, `ekm-exporter doctor {target}` tests it."
_READ_WHY = "Read why backups of {server} fail: `EXEC sys.sp_readerrorlog 0, 1, N'BACKUP';`. Then repeat them."
_PROVE = "`ekm-exporter script prove.sql` prints a backup that breaks no chain."
_ACTIONS: Mapping[ProofState, str] = {
    ProofState.CLOSED: "Change nothing on {server} before the cause is known. On that host, run `ekm-exporter doctor {target}`.",
    ProofState.PROVIDER_DISABLED: "Enable the provider on {server}: `ekm-exporter script verify.sql`, part 3, shows what is off.",
    ProofState.NO_CREDENTIAL: "Add a credential to {login} on {server}: {statement}",
    ProofState.LEFT_BEHIND: f"Write the present secret into the credential of {{server}} with `ekm-exporter script alter-credential.sql`. {_PROVE}",
    ProofState.STOPPED: f"Check that the backups of {{server}} run, unless another node of its group makes them. {_PROVE}",
    ProofState.DUE: f"Nothing, if a backup of {{server}} starts two hours after the change. {_PROVE}",
}


def urgency_text(servers: Sequence[ServerProof], now: float) -> str:
    """Return what is closed, since when backups fail, and how long the logs have room, for several SQL Servers together."""
    failing = {each.reading.address: each for each in servers if each.failed and each.since is not None}
    since = min((each.since for each in failing.values() if each.since is not None), default=None)
    of = next(iter(failing.values())).server if len(failing) == 1 else f"{len(failing):,} SQL Servers"
    fail = "" if since is None else f"backups of {of} fail since {clock_text(since, now)}"
    closed, stalled, times = closed_text(servers), stalled_text(servers, now, named=True), times_text(servers, now, named=True)
    # That a database may no longer write is a sentence of its own, before all that still works.
    first = [closed, stalled] if stalled else []
    rest = "; ".join(filter(None, (*(() if stalled else (closed,)), fail, times)))
    return ". ".join(
        text if place == 0 else f"{text[0].upper()}{text[1:]}" for place, text in enumerate(filter(None, (*first, rest)))
    )


def first_actions(
    servers: Sequence[ServerProof],
    first: ServerProof,
    ended_at: float | None,
    now: float,
    *,
    target: str = "TARGET",
    is_ready: bool = True,
) -> str:
    """Return what to do first for SQL Servers with one cause, with room for the most urgent log if it is soon needed."""
    others = " Then do the same on the other SQL Servers." if len(servers) > 1 else ""
    room = "" if first.proof.closed or ended_at is not None or not first.state.is_bad else prose(room_text(servers, now))
    return room + first_action(first, ended_at, target=target, is_ready=is_ready) + others


def first_action(server: ServerProof, ended_at: float | None = None, *, target: str = "TARGET", is_ready: bool = True) -> str:
    """Return what to do first about a missing proof; empty if nothing is to do.

    With `ended_at`, the fault of the vault that SQL Server shows has ended. `target` is one with the key; `is_ready` if its vault side is ready.
    """
    proof, where = server.proof, prose(server.server)
    if ended_at is not None:
        return _open_text(server) if proof.closed else _REPEAT.format(server=where)
    found = _action_text(server, is_ready=is_ready)
    names = {
        "server": where,
        "target": target,
        "login": prose(login_text(proof)),
        "statement": _add_credential(proof.login, proof.candidate),
        "code": plain(server.codes[0].code, "CODE") if server.codes else "",
        "meaning": _meaning(server).format(server=where),
        "explain": " and ".join(f"`ekm-exporter explain {each.code}`" for each in server.messages),
    }
    action = found.format(**names)
    return f"{action} Then open the databases." if proof.closed else action


def _action_text(server: ServerProof, *, is_ready: bool) -> str:
    """Return the text of the first action, with names to fill in."""
    if server.messages and not server.codes and server.cause in (ProofState.CLOSED, ProofState.FAILING):
        return _WITH_MESSAGE
    if server.cause is ProofState.STOPPED and server.failed:
        return _READ_WHY
    if server.cause is not ProofState.FAILING:
        return _ACTIONS.get(server.cause, "")
    latest = server.codes[0]
    category = BY_CODE[int(latest.code)].category if latest.is_known else Category.UNKNOWN
    if category in _COMPARED and not is_ready:
        return _NO_PROBE
    return _DIAGNOSES.get(category, "") + str(SERVER_ACTIONS.get(category, _READ_THE_LOG))


def _meaning(server: ServerProof) -> str:
    """Return in plain words what the latest code means, else the messages about databases that did not open."""
    if server.codes and server.codes[0].is_known:
        return f"{BY_CODE[int(server.codes[0].code)].summary.partition('. ')[0].removesuffix('.')} ({server.codes[0].code})."
    return " ".join(_MESSAGES[each.code] for each in server.messages)


def _open_text(server: ServerProof) -> str:
    """Return how to open the closed databases of a SQL Server, with a statement that can be copied."""
    first, where = server.proof.closed[0][0], prose(server.server)
    more = len(server.proof.closed) - 1
    others = f" Do so for the other {more:,} too." if more else ""
    return _OPEN.format(server=where, database=sql_name(first, "DATABASE"), others=others)


def _add_credential(login: str, candidate: str) -> str:
    """Return the statement, which can be copied if both names are known."""
    names = sql_name(login, "LOGIN"), sql_name(candidate, "CREDENTIAL")
    statement = f"ALTER LOGIN {names[0]} ADD CREDENTIAL {names[1]};"
    is_complete = names[0] != "[LOGIN]" and names[1] != "[CREDENTIAL]"
    return f"`{statement}`" if is_complete else f"{statement} `ekm-exporter script verify.sql`, part 2, has the names."
