"""Sections of the target page: auxiliary probes, key, network path, expiry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporter.core.auxiliary import AuxiliaryResult, Identity
from exporter.core.checks import BY_NAME
from exporter.core.checks.check_owner import owner_of
from exporter.core.checks.model import CheckRun
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.readiness import deciding_failure
from exporter.presentation import wording
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import when
from exporter.web.ui.layout import cell, prose, section, table
from exporter.web.ui.view_models import TargetView

_AUXILIARY_COLUMNS = ("Probe", "Usable", "Cause and action", "Credential", "Last run")
_EXPIRY_COLUMNS = ("Credential", "Source", "Expires", "Last lookup", "Note")
_COLOURS = {"yes": "good", "no": "bad", "unknown": "unsure"}


def marks(view: TargetView) -> Child:
    """Return the warnings of a target, which do not depend on the verdict.

    The result is None without a warning.
    """
    words = wording.target_warnings(view.target, view.record, view.module.expect_path, now=view.now)
    return [element("div", element("span", each, class_="state unsure")) for each in words] or None


def auxiliary_section(view: TargetView) -> Iterator[Child]:
    """Yield the configured auxiliary probes with their last results."""
    results = () if view.record is None else wording.auxiliary_results(view.target, view.record, now=view.now)
    if results:
        advised = () if view.record is None else wording.auxiliary_actions(view.target, view.record, results)
        rows = [_auxiliary_row(view, identity, result, actions) for identity, result, actions in advised]
        yield element("h2", "Auxiliary probes")
        yield table(_AUXILIARY_COLUMNS, rows, caption="Auxiliary probes never change the verdict.")


def vault_sections(view: TargetView) -> Iterator[Child]:
    """Yield the last known facts of the key and of the network path."""
    if view.record is not None:
        yield section("Key in the vault", _key(view))
        yield section("Network path to the vault", wording.path_lines(view.record.vault, view.module.expect_path))


def expiries_table(view: TargetView, expiries: Mapping[str, Sequence[CredentialExpiry]]) -> Iterator[Child]:
    """Yield the table of expiry dates.

    `expiries` is by credential, empty if no source was looked up.
    """
    yield element("h2", "Credential expiry")
    rows = [_expiry_row(view, expiry) for expiry in wording.expiry_lines(expiries, now=view.now)]
    yield table(_EXPIRY_COLUMNS, rows, caption="One row per source. After a failed lookup the previous answer is kept.")


def failed_checks(view: TargetView, run: CheckRun | None) -> Iterator[Child]:
    """Yield the preflight checks that failed in the last run, each with its fix."""
    failed = () if run is None else run.failed
    if run is None or not failed:
        return
    failure = None if view.report is None else deciding_failure(view.report)
    stated = None if failure is None else owner_of(failure.step, failure.reason)
    yield element("h2", "Failed preflight checks")
    yield element("p", "Last run ", when(run.at, view.now), ". Preflight checks never change the verdict.", class_="quiet")
    for result in failed:
        title = BY_NAME[result.check].title
        yield element("h3", title)
        yield element("p", result.detail)
        if result.check == stated:
            yield element("p", "The cause and its actions are stated above.", class_="quiet")
        elif result.fix:
            words = "\n".join(result.fix)
            yield element("pre", words, tabindex=0, role="region", aria_label=f"Fix: {title}")


def _key(view: TargetView) -> Iterator[tuple[str, Child]]:
    if view.record is not None:
        lines = [*(() if view.record.key is None else wording.key_lines(view.record.key))]
        yield from ((name, prose(value)) for name, value in (*lines, *wording.version_lines(view.target, view.record)))


def _auxiliary_row(view: TargetView, identity: Identity, result: AuxiliaryResult | None, actions: tuple[str, ...]) -> Html:
    answer = wording.answer(result)
    why = "" if view.record is None else wording.reason_text(view.record, identity, result)
    return element(
        "tr",
        element("th", wording.title(view.target, identity), scope="row"),
        cell("Usable", element("span", answer, class_=f"state {_COLOURS[answer]}")),
        cell("Cause and action", why, element("ol", [element("li", prose(each)) for each in actions]) if actions else None),
        cell("Credential", "" if result is None else result.credential),
        cell("Last run", when(None if result is None else result.at, view.now), class_="number"),
    )


def _expiry_row(view: TargetView, expiry: wording.ExpiryLine) -> Html:
    return element(
        "tr",
        element("th", expiry.credential, scope="row"),
        cell("Source", expiry.source),
        cell("Expires", expiry.when),
        cell("Last lookup", when(expiry.looked_up_at, view.now, absent=""), class_="number"),
        cell("Note", expiry.note),
    )
