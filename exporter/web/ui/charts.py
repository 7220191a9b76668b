"""Two SVG charts: the phases of a probe, and the durations of the last probes.

Sizes are attributes, because the pages forbid inline styles. The page repeats every chart as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from exporter.core.model import Phase, ProbeReport, Step, StepResult
from exporter.presentation.text import seconds
from exporter.web.ui.html import Child, Html, element

_HEIGHT = 40.0
_LEAST = 2.0  # a bar is always visible
_BAR = 4.0
_STRIP = 5.0
_FEWEST = 60  # the least width, in bars


@dataclass(frozen=True, slots=True)
class Point:
    """One probe of a sparkline: its seconds, and whether it failed."""

    duration: float
    failed: bool


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


def sparkline(points: Sequence[Point]) -> Child:
    """Draw the durations, oldest first, with failures marked.

    None for fewer than two probes.
    """
    if len(points) < 2:
        return None
    slowest = max(point.duration for point in points) or 1.0
    width = max(len(points), _FEWEST) * (_BAR + 1)
    return element(
        "figure",
        element(
            "svg",
            _columns(points, slowest),
            viewBox=f"0 0 {width:.0f} {_HEIGHT + _STRIP + 2:.0f}",
            preserveAspectRatio="none",
            class_="spark",
            aria_hidden="true",
            focusable="false",
        ),
        element("figcaption", _description(points, slowest), class_="quiet"),
    )


def _description(points: Sequence[Point], slowest: float) -> str:
    failed = sum(point.failed for point in points)
    durations = [point.duration for point in points]
    return (
        f"The last {len(points)} probes, oldest first: {failed or 'none'} failed (marked below the line). "
        f"They took {seconds(min(durations))} to {seconds(slowest)}, median {seconds(median(durations))}."
    )


def _columns(points: Sequence[Point], slowest: float) -> Iterator[Html]:
    for number, point in enumerate(points):
        x, high = number * (_BAR + 1), max(_LEAST, _HEIGHT * point.duration / slowest)
        yield element(
            "rect", x=_n(x), y=_n(_HEIGHT - high), width=_n(_BAR), height=_n(high), class_="failed" if point.failed else "went"
        )
        if point.failed:
            yield element("rect", x=_n(x), y=_n(_HEIGHT + 2), width=_n(_BAR), height=_n(_STRIP), class_="failed")


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


def _n(value: float) -> str:
    return f"{value:.1f}"
