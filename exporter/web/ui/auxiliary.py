"""What is known of a target besides its probe: looks, key, path, when its credentials end.

For: the sections of `/targets/NAME` below the last probe, and the marks in the list of targets.
Not for: the wording (see `exporter.presentation.wording`), JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporter.core.auxiliary import AuxiliaryResult, Identity
from exporter.core.checks import BY_NAME
from exporter.core.checks.model import CheckRun
from exporter.core.credential_expiry import CredentialExpiry
from exporter.presentation import wording
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import ago
from exporter.web.ui.layout import cell, prose, section, table
from exporter.web.ui.view_models import TargetView

_LOOKS = ("What", "Usable", "Why, and what to do", "Credential", "Looked at")
_ENDS = ("Credential", "Source", "Ends", "Looked up", "Note")
_COLOURS = {"yes": "good", "no": "bad", "unknown": "unsure"}


def marks(view: TargetView) -> Child:
    """What is amiss though the probe may be well; nothing where all is."""
    words = wording.target_warnings(view.target, view.record, view.module.expect_path, now=view.now)
    return [element("div", element("span", each, class_="state unsure")) for each in words] or None


def looks(view: TargetView) -> Iterator[Child]:
    """What the configuration declares beside the probe, each with the last look at it; nothing where nothing is declared."""
    seen = () if view.record is None else wording.looks_of(view.target, view.record, now=view.now)
    if seen:
        yield element("h2", "Auxiliary probes")
        yield table(_LOOKS, [_look(view, identity, look) for identity, look in seen], caption="They never change the verdict.")


def known(view: TargetView) -> Iterator[Child]:
    """Sections on the key and on the path to the vault, as last seen."""
    if view.record is not None:
        yield section("Key as the vault last described it", _key(view))
        yield section("Path to the vault", wording.about_path(view.record.vault, view.module.expect_path))


def ends_table(view: TargetView, ends: Mapping[str, Sequence[CredentialExpiry]]) -> Iterator[Child]:
    """`ends` by the name of the credential, empty for one of which no source was asked."""
    yield element("h2", "Credential expiry")
    ended = [_end(view, end) for end in wording.expiry_lines(ends, now=view.now)]
    yield table(_ENDS, ended, caption="One row for each source that may know; a failed look-up leaves the last answer standing.")


def failed_checks(view: TargetView, run: CheckRun | None) -> Iterator[Child]:
    """What of the doctor's checks failed when they were last made, with what mends it; nothing where nothing did."""
    failed = () if run is None else run.failed
    if run is None or not failed:
        return
    yield element("h2", "Failed preflight checks")
    yield element("p", f"Made {ago(max(0.0, view.now - run.at))}; they never change the verdict.", class_="quiet")
    for result in failed:
        title = BY_NAME[result.check].title
        yield element("h3", title)
        yield element("p", result.detail)
        if result.fix:
            words = "\n".join(result.fix)
            yield element("pre", words, tabindex=0, role="region", aria_label=f"What mends it: {title}")


def _key(view: TargetView) -> Iterator[tuple[str, Child]]:
    if view.record is not None:
        lines = [*(() if view.record.key is None else wording.about_key(view.record.key))]
        yield from ((name, prose(value)) for name, value in (*lines, *wording.about_versions(view.target, view.record)))


def _look(view: TargetView, identity: Identity, look: AuxiliaryResult | None) -> Html:
    answer = wording.answer(look)
    actions = () if look is None else wording.recommended_actions(view.target, look)
    why = "" if view.record is None else wording.reason_text(view.record, identity, look)
    return element(
        "tr",
        element("th", wording.title(view.target, identity), scope="row"),
        cell("Usable", element("span", answer, class_=f"state {_COLOURS[answer]}")),
        cell("Why, and what to do", why, element("ol", [element("li", prose(each)) for each in actions]) if actions else None),
        cell("Credential", "" if look is None else look.credential),
        cell("Looked at", ago(None if look is None else max(0.0, view.now - look.at)), class_="number"),
    )


def _end(view: TargetView, end: wording.End) -> Html:
    looked_up = None if end.looked_up_at is None else max(0.0, view.now - end.looked_up_at)
    return element(
        "tr",
        element("th", end.credential, scope="row"),
        cell("Source", end.source),
        cell("Ends", end.when),
        cell("Looked up", "" if looked_up is None else ago(looked_up), class_="number"),
        cell("Note", end.note),
    )
