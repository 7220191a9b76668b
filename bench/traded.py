"""What was traded for speed or memory: one line each, as docs/performance.md lists it."""

from __future__ import annotations

# What was gained, and what it costs a reader of the code or a user.
TRADED: tuple[str, ...] = (
    "**A scrape copies text that is ready.** Lines of a target are rendered when its probe ends, so each probe pays for them even if nothing scrapes.",
    "**Protobuf of a target is stored from the first scrape in protobuf on.** It costs 6 KB a target and a second encoder next to the text.",
    "**A report renders only the families that changed.** The inputs of a value that rarely changes are named a second time, in `outcome_of` or `facts_of`; a test compares with a recorder that renders everything.",
    "**The history stores differences.** A probe that differs from the one before only in times and request ids stores these alone, so reading it unpacks two entries.",
    "**All vaults share one client of the SDK, and a transport of the exporter replaces that of azure-core.** The errors of azure-core's transport are repeated in a table; a test compares both.",
    "**Every probe has a connection of its own and a full TLS handshake.** A resumed session would cost 4 to 5 % less of a probe, and would hide a fault of a certificate.",
)
