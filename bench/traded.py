"""What was traded for speed or memory: one line each, as docs/performance.md lists it."""

from __future__ import annotations

# What was gained, and what it costs a reader of the code or a user.
TRADED: tuple[str, ...] = (
    "**A scrape copies text that is ready.** Lines of a target are rendered when its probe ends, so each probe pays for them even if nothing scrapes.",
    "**Protobuf of a target is stored from the first scrape in protobuf on.** It costs 6 KB a target and a second encoder next to the text.",
    "**The Azure SDK's pipeline stays**, with its cost for each request: its retries and its errors are those that users of the SDK know.",
    "**Every probe has a connection of its own and a full TLS handshake.** A resumed session would be cheaper and would hide a fault of a certificate.",
)
