"""Actions for a credential that is refused or expires soon while another one, NEXT, is staged."""

from __future__ import annotations

from exporter.core.codes.action_texts import ALTER, CRED_AND_STRING, PROBE
from exporter.core.codes.names import Names
from exporter.core.codes.shared import DO_NOT_RESTART, SET_ONLINE

_SET = f"In the configuration, set `credential: NEXT`, remove `next_credential` and repeat the probe: {PROBE}."


def switch(names: Names) -> tuple[str, ...]:
    """Return the actions that make the staged credential the current one, after its round trip."""
    usable = f"The staged credential {names.staged} is usable."
    if not _is_of_sql_server(names):
        return usable, _SET
    return (
        f"{usable} Give its secret to SQL Server, on every replica: {ALTER}.",
        CRED_AND_STRING,
        _SET,
        DO_NOT_RESTART,
        SET_ONLINE,
    )


def prove_and_switch(names: Names) -> tuple[str, ...]:
    """Return the actions that test the staged credential and make it the current one."""
    test = (
        f"The credential {names.staged} is staged. Test it first, on every SQL Server host: "
        "`ekm-exporter probe TARGET --credential NEXT`."
    )
    if not _is_of_sql_server(names):
        return test, _SET
    return test, f"If it passes, give its secret to SQL Server, on every replica: {ALTER}.", CRED_AND_STRING, _SET


def _is_of_sql_server(names: Names) -> bool:
    """Return whether SQL Server has this secret. With another kind of credential, SQL Server has a secret of its own."""
    return names.kind is None or names.kind.has_secret
