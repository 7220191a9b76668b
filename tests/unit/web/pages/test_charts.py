"""The chart of a target page matches the report."""

import re
from dataclasses import replace

from exporter.core.values import Step
from exporter.web.pages.target import waterfall
from tests.support.web_factories import bad, good


def pieces(svg):
    """Return class, start and width of each piece; start and width are percentages."""
    found = re.findall(r'<rect x="([\d.]+)%" y="0" width="([\d.]+)%" height="12" class="phase-(\w+)">', svg)
    return [(name, float(x), float(width)) for x, width, name in found]


def test_steps_follow_one_another_on_one_axis():
    bars = waterfall(good())
    starts = [pieces(bars[step])[0][1] for step in Step]
    assert starts == [0.0, 20.0, 40.0, 60.0, 80.0]
    assert {pieces(bars[step])[0][2] for step in Step} == {20.0}


def test_phases_follow_one_another_within_their_step():
    assert pieces(waterfall(good())[Step.TOKEN]) == [("other", 20.0, 20.0), ("dns", 20.0, 1.0), ("wait", 21.0, 10.0)]


def test_a_skipped_step_and_a_token_of_another_probe_have_no_bar():
    report = bad()
    assert set(waterfall(report)) == {Step.CHALLENGE, Step.TOKEN}
    shared = replace(good(), steps=tuple(replace(each, shared=each.step is Step.TOKEN) for each in good().steps))
    assert Step.TOKEN not in waterfall(shared)


def test_nothing_is_drawn_beyond_the_axis():
    report = good()
    long = replace(report, duration=0.0, steps=tuple(replace(each, duration=0.001) for each in report.steps))
    assert all(x + width <= 100.01 for bar in waterfall(long).values() for _, x, width in pieces(bar))
