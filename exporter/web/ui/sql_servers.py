"""What SQL Servers proved themselves, and how long their logs have room, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.presentation.sql_proofs import SHOWN
from exporter.tde.server_proof import ServerProof, codes_text, log_text, proof_text
from exporter.web.ui.html import Child, element
from exporter.web.ui.view_models import TargetView


def server_proofs(view: TargetView, servers: Sequence[ServerProof]) -> Child:
    """Return one line for each SQL Server of a target; None without any.

    The line has the times of the log if the vault side is not ready, or if the proofs stopped.
    """
    if not servers:
        return None
    entries = [
        element(
            "li", element("strong", f"SQL Server itself, {each.server}: "), proof_text(each, view.now), ". ", _urgent(view, each)
        )
        for each in servers[:SHOWN]
    ]
    rest = len(servers) - SHOWN
    more = element("p", f"{rest:,} more SQL Servers were proven later. The API lists them.", class_="quiet") if rest > 0 else None
    return [element("ul", entries, aria_label="Proven by SQL Server itself"), more]


def _urgent(view: TargetView, server: ServerProof) -> str:
    fails = view.readiness.ready is False or server.has_stopped
    texts = codes_text(server, view.now), log_text([server], view.now) if fails else ""
    return sentence("; ".join(filter(None, texts)))


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}." if text else ""
