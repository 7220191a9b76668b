"""What SQL Servers proved themselves, what fails there, what to do first, and how long their logs have room, as sentences.

Times are Unix times. Names were bounded and made printable when they were read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from exporter.core.codes import BY_CODE, Category, both_numbers
from exporter.tde.proof import KeyProof, ProofSource
from exporter.tde.server_proof import ProofState, ServerProof
from exporter.tde.sql_reading import TRACE_FLAG

_HOUR = 3600.0  # the age from which a rate is not the present one, and from which a text has the time of its reading
_TWO_DAYS = 48  # hours
_PLAIN = re.compile(r"[\w.\\$ @-]{1,128}")  # a name that a command may contain
_DONE: Mapping[ProofSource, str] = {
    ProofSource.START: "start that opened {}",
    ProofSource.FULL_BACKUP: "full backup of {}",
    ProofSource.DIFFERENTIAL_BACKUP: "differential backup of {}",
    ProofSource.LOG_BACKUP: "log backup of {}",
}
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
    ProofState.NO_CREDENTIAL: "Add a credential to {login} on {server}: `ALTER LOGIN [{name}] ADD CREDENTIAL [CREDENTIAL];`",
    ProofState.STOPPED: f"Check that the backups of {{server}} run, unless another node of its group makes them. {_PROVE}",
    ProofState.DUE: f"Nothing, if a backup of {{server}} starts two hours after the change. {_PROVE}",
}


def proof_text(server: ServerProof, now: float) -> str:
    """Return when and by what SQL Server proved the key, or that it did not."""
    return _proof(server.proof, now) + read_text(server, now)


def read_text(server: ServerProof, now: float) -> str:
    """Return the age of the reading in brackets; empty if it is of the last hour."""
    age = now - server.reading.read_at.get("backups", now)
    return f" (read {_span(age)} ago)" if age > _HOUR else ""


def _proof(proof: KeyProof, now: float) -> str:
    lacks = f"{_login(proof)} has no credential, so SQL Server cannot sign in to the vault"
    if proof.source is not None and proof.proven_at is not None:
        done = f"{_span(now - proof.proven_at)} ago, {_DONE[proof.source].format(f'[{proof.database}]')}"
        return f"{done}, but {lacks}" if proof.credential_missing else done
    if proof.credential_missing:
        return f"not proven: {lacks}"
    if proof.altered_at is not None:
        return f"not proven since the credential was altered at {_clock(proof.altered_at, now)}"
    return "not proven: no start and no finished backup is known"


def _login(proof: KeyProof) -> str:
    return f"login [{proof.login}]" if proof.login else "the key's login"


def codes_text(server: ServerProof, now: float) -> str:
    """Return what the error log shows since the last proof: failed backups, and the codes of the provider."""
    if server.since is None or not (server.codes or server.backups_fail):
        return ""
    since = _clock(server.since, now)
    named = " and ".join(both_numbers(int(code.code)) if _is_known(code.code) else code.code for code in server.codes)
    if not named:
        return f"backups fail since {since}"
    return f"its error log shows {named} since {since}{', and backups fail' if server.backups_fail else ''}"


def log_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return when the first log is full, and when the next log file is due.

    Both count from now. The text is empty if both are unknown.
    """
    recent = [(each, now - each.reading.read_at.get("logs", 0.0)) for each in servers]
    recent = [(each, age) for each, age in recent if age <= _HOUR]
    full = min(
        ((max(0.0, each.full_in - age), each.full_database, each.server) for each, age in recent if each.full_in is not None),
        default=None,
    )
    next_file = min((each.next_file_in for each, _ in recent if each.next_file_in is not None), default=None)
    parts = []
    if full is not None:
        where = f" of {full[2]}" if named else ""
        when = f"full in {_span(full[0])}" if full[0] > 0 else "full already"
        parts.append(f"the log of [{full[1]}]{where} is {when}")
    if next_file is not None:
        parts.append(f"the next log file is due in about {_span(next_file)} (trace flag {TRACE_FLAG} is off)")
    return f"at the present rate {'; '.join(parts)}" if parts else ""


def urgency_text(servers: Sequence[ServerProof], now: float) -> str:
    """Return since when backups fail, and how long the logs have room, for several SQL Servers together."""
    failing = {each.reading.address: each for each in servers if each.backups_fail and each.since is not None}
    since = min((each.since for each in failing.values() if each.since is not None), default=None)
    of = next(iter(failing.values())).server if len(failing) == 1 else f"{len(failing):,} SQL Servers"
    fail = "" if since is None else f"backups of {of} fail since {_clock(since, now)}"
    return "; ".join(filter(None, (fail, log_text(servers, now, named=True))))


def first_action(server: ServerProof) -> str:
    """Return what to do first about a missing proof; empty if nothing is to do."""
    login, where = server.proof.login, server.server.replace("`", "'")
    if server.state is ProofState.FAILING:
        code = server.codes[0].code
        category = BY_CODE[int(code)].category if _is_known(code) else Category.UNKNOWN
        return _ACTIONS_BY_CATEGORY.get(category, _READ_THE_LOG).format(where)
    # A command has no name that could end its quotation.
    names = {
        "server": where,
        "login": _login(server.proof).replace("`", "'"),
        "name": login if _PLAIN.fullmatch(login) else "LOGIN",
    }
    return _ACTIONS[server.state].format(**names) if server.state in _ACTIONS else ""


def _is_known(code: str) -> bool:
    return code.isdecimal() and int(code) in BY_CODE


def _clock(at: float, now: float) -> str:
    """Return `14:02 UTC`, with the date unless it is today's."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC).date()
    return f"{then:%H:%M} UTC" if then.date() == today else f"{then:%Y-%m-%d %H:%M} UTC"


def _span(seconds: float) -> str:
    """Return `12 min`, `3 h 40 min`, or `2 d 5 h` from two days on."""
    hours, minutes = divmod(max(1, round(seconds) // 60), 60)
    parts = [(hours // 24, "d"), (hours % 24, "h")] if hours >= _TWO_DAYS else [(hours, "h"), (minutes, "min")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)
