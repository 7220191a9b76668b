"""Auxiliary probes, key, network path and expiries of a target as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from exporter.config.settings import ExpectPath, Target
from exporter.core.auxiliary import AuxiliaryResult, Identity
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.durations import moment
from exporter.presentation import wording
from exporter.presentation.probe_text import Line, line, wrapped
from exporter.state.records import TargetRecord

_INDENT = "  "


def target_text(
    target: Target,
    record: TargetRecord,
    expiries: Mapping[str, Sequence[CredentialExpiry]],
    expected: ExpectPath,
    *,
    now: float,
    auxiliary: bool,
) -> str:
    """Return titled sections, ending with a line break; `now` is a Unix time.

    `auxiliary` includes auxiliary probes.
    """
    results = wording.auxiliary_results(target, record, now=now) if auxiliary else ()
    key = () if record.key is None else wording.key_lines(record.key)
    sections: list[tuple[str, Iterable[str]]] = [
        ("Auxiliary probes", _auxiliary(target, record, results)),
        ("Key", _lines((*key, *wording.version_lines(target, record)))),
        ("Path", _lines(wording.path_lines(record.vault, expected))),
        ("Credential expiry", _expiry_lines(expiries, now)),
    ]
    warnings = [line("warning", mark) for mark in wording.target_warnings(target, record, expected, now=now)]
    texts = [
        f"\n{title}\n" + "\n".join(lines) + "\n" for title, lines in ((each, list(made)) for each, made in sections) if lines
    ]
    return "".join([*texts, *(f"\n{each}\n" if not number else f"{each}\n" for number, each in enumerate(warnings))])


def _lines(about: Iterable[Line]) -> Iterator[str]:
    return (line(*each, indent=_INDENT) for each in about)


def _auxiliary(target: Target, record: TargetRecord, results: Iterable[tuple[Identity, AuxiliaryResult | None]]) -> Iterator[str]:
    for identity, result, advice in wording.auxiliary_actions(target, record, results):
        yield _INDENT + wording.title(target, identity)
        yield line("usable", wording.answer(result), indent=_INDENT * 2)
        if why := wording.reason_text(record, identity, result):
            yield wrapped("because", why, indent=_INDENT * 2)
        for action in advice:
            yield wrapped("do", action, indent=_INDENT * 2)


def _expiry_lines(expiries: Mapping[str, Sequence[CredentialExpiry]], now: float) -> Iterator[str]:
    for expiry in wording.expiry_lines(expiries, now=now):
        source = "" if expiry.source == "none" else f" (source {expiry.source})"
        yield line(expiry.credential, f" {expiry.when}{source}", indent=_INDENT)
        if expiry.note:
            looked_up = "" if expiry.looked_up_at is None else f"; last success at {moment(expiry.looked_up_at)}"
            yield wrapped("note", expiry.note + looked_up, indent=_INDENT * 2)
