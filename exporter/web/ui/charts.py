"""SVG charts: phases of a probe, and states of the last probes.

Sizes are attributes, because the pages forbid inline styles. The page repeats every chart as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from exporter.core.model import Phase, ProbeReport, Step, StepResult
from exporter.core.readiness import State
from exporter.state.failures import LETTERS
from exporter.state.records import RECENT
from exporter.web.ui.html import Child, Html, element

# By letter of a state: its name, and the height of its bar.
_STATE_BARS = {
    LETTERS[state]: (state.value.replace("_", " "), height)
    for state, height in {State.NOT_READY: 10, State.FAILING: 7, State.UNKNOWN: 2, State.READY: 4}.items()
}


def waterfall(report: ProbeReport) -> Mapping[Step, Html]:
    """Return one bar per step that ran, on one axis as long as the probe.

    A token from the cache has no bar: its time is not this probe's.
    """
    own = [result for result in report.steps if result.duration and not result.shared]
    total = max(report.duration, sum(result.duration for result in own)) or 1.0
    bars, begun = {}, 0.0
    for result in own:
        bars[result.step] = _bar(result, begun / total, total)
        begun += result.duration
    return bars


def legend() -> Html:
    """Return the legend of the phase colours."""
    return element("ul", [element("li", _swatch(phase), phase.value) for phase in Phase], class_="legend", aria_label="Phases")


def state_bar(recent: str) -> Child:
    """Draw the states of the last probes, oldest first; None without a probe.

    `recent` has a letter for each probe. A more urgent state is higher, so colour is never needed.
    """
    if not recent:
        return None
    paths = [_runs(recent, letter, height) for letter, (_, height) in _STATE_BARS.items() if letter in recent]
    counts = ", ".join(f"{recent.count(letter)} {name}" for letter, (name, _) in _STATE_BARS.items() if letter in recent)
    words = f"last {len(recent)} probes: {counts}"
    return element(
        "svg", paths, viewBox=f"0 0 {RECENT} 10", preserveAspectRatio="none", class_="probes", role="img", aria_label=words
    )


def _runs(recent: str, letter: str, height: int) -> Html:
    start = RECENT - len(recent)
    runs = "".join(f"M{start + run.start()} {10 - height / 2:g}h{len(run[0])}" for run in re.finditer(f"{letter}+", recent))
    return element("path", d=runs, stroke_width=height, class_=f"probe-{letter}")


def _bar(result: StepResult, begun: float, total: float) -> Html:
    phases = {} if result.facts is None else result.facts.phases
    pieces = [_piece("other", begun, result.duration / total)]
    at = begun
    for phase in Phase:
        if share := phases.get(phase, 0.0) / total:
            pieces.append(_piece(phase.value, at, share))
            at += share
    return element("svg", pieces, width="100%", height="12", class_="bar", aria_hidden="true", focusable="false")


def _piece(name: str, at: float, share: float) -> Html:
    width = max(0.0, min(share, 1.0 - at))
    return element("rect", x=f"{100 * at:.2f}%", y="0", width=f"{100 * width:.2f}%", height="12", class_=f"phase-{name}")


def _swatch(phase: Phase) -> Html:
    box = element("rect", width="10", height="10", class_=f"phase-{phase.value}")
    return element("svg", box, width="10", height="10", aria_hidden="true", focusable="false")
