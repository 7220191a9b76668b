"""Auxiliary probes, key, network path and expiries of a target as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from exporter.config.settings import ExpectPath, Target
from exporter.core.auxiliary import AuxiliaryResult, Identity
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.durations import moment
from exporter.presentation import wording
from exporter.presentation.text import Line, line, wrapped
from exporter.state.records import TargetRecord

_INDENT = "  "


def target_text(
    target: Target,
    record: TargetRecord,
    ends: Mapping[str, Sequence[CredentialExpiry]],
    expected: ExpectPath,
    *,
    now: float,
    auxiliary: bool,
) -> str:
    """Return titled sections, ending with a line break; `now` is a Unix time.

    `auxiliary` includes auxiliary probes.
    """
    results = wording.auxiliary_results(target, record, now=now) if auxiliary else ()
    key = () if record.key is None else wording.about_key(record.key)
    sections: list[tuple[str, Iterable[str]]] = [
        ("Auxiliary probes", _auxiliary(target, record, results)),
        ("Key", _lines((*key, *wording.about_versions(target, record)))),
        ("Path", _lines(wording.about_path(record.vault, expected))),
        ("Credential expiry", _ends(ends, now)),
    ]
    warnings = [line("warning", mark) for mark in wording.target_warnings(target, record, expected, now=now)]
    texts = [
        f"\n{title}\n" + "\n".join(lines) + "\n" for title, lines in ((each, list(made)) for each, made in sections) if lines
    ]
    return "".join([*texts, *(f"\n{each}\n" if not number else f"{each}\n" for number, each in enumerate(warnings))])


def _lines(about: Iterable[Line]) -> Iterator[str]:
    return (line(*each, indent=_INDENT) for each in about)


def _auxiliary(target: Target, record: TargetRecord, results: Iterable[tuple[Identity, AuxiliaryResult | None]]) -> Iterator[str]:
    for identity, result, advice in wording.auxiliary_advice(target, record, results):
        yield _INDENT + wording.title(target, identity)
        yield line("usable", wording.answer(result), indent=_INDENT * 2)
        if why := wording.reason_text(record, identity, result):
            yield wrapped("because", why, indent=_INDENT * 2)
        for action in advice:
            yield wrapped("do", action, indent=_INDENT * 2)


def _ends(ends: Mapping[str, Sequence[CredentialExpiry]], now: float) -> Iterator[str]:
    for end in wording.expiry_lines(ends, now=now):
        source = "" if end.source == "none" else f" (source {end.source})"
        yield line(end.credential, f" {end.when}{source}", indent=_INDENT)
        if end.note:
            looked_up = "" if end.looked_up_at is None else f"; last success at {moment(end.looked_up_at)}"
            yield wrapped("note", end.note + looked_up, indent=_INDENT * 2)
