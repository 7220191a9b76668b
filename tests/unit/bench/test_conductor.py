"""The parts run in their order, and a part that fails loses no figure of another one."""

import sys
import time

import pytest

from bench import conductor
from bench.__main__ import verdict
from bench.conductor import Child, Outcome, Run
from bench.items import Mark, encoded
from bench.parts import Part, Place
from bench.table import Figure

FIGURE = Figure(what="one", runs=[1.0], unit="", how="")
PATIENCE = 60.0  # seconds: a hang guard
SCRIPTS = {
    "good": f"print('''{encoded(FIGURE)}''')",
    "crash": f"print('''{encoded(FIGURE)}''', flush=True); raise SystemExit(3)",
    "hang": f"import threading; print('''{encoded(FIGURE)}''', flush=True); threading.Event().wait()",
    "warmed": f"print('''{encoded(Mark.WARM)}''', flush=True); input(); print('''{encoded(FIGURE)}''')",
}


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A function that conducts scripts as parts. Returns the outcomes and the order of the items."""
    order = []

    def start(self, name):
        return Child(name, (sys.executable, "-c", SCRIPTS[name.partition("-")[0]]), self.on_item)

    def conducted(places, deadline=PATIENCE):
        parts = {name: Part(name, lambda *_: iter(()), place) for name, place in places.items()}
        monkeypatch.setattr(conductor, "PARTS", parts)
        monkeypatch.setattr(Run, "start", start)
        settings = Run(
            size="tiny",
            folder=tmp_path,
            other=None,
            deadline=time.monotonic() + deadline,
            on_item=lambda name, item: order.append((name, item)),
        )
        return settings.outcomes(list(places)), order

    return conducted


def test_failed_part_keeps_its_figures_and_those_of_the_others(run):
    found, _ = run({"crash": Place.TOGETHER, "good": Place.QUIET})
    assert found == {"crash": Outcome([FIGURE], [], "ended with code 3"), "good": Outcome([FIGURE], [], "")}


def test_part_that_does_not_end_is_stopped_at_the_deadline(run):
    found, _ = run({"hang": Place.QUIET, "good": Place.QUIET}, deadline=0.5)
    assert found["hang"].reason == "had not ended in time"
    assert found["good"].reason == "was not started in time"


def test_warmed_parts_measure_one_after_another(run):
    found, order = run({"warmed-a": Place.WARMED, "warmed-b": Place.WARMED, "good": Place.QUIET})
    assert [outcome.reason for outcome in found.values()] == ["", "", ""]
    assert {name for name, item in order[:2]} == {"warmed-a", "warmed-b"}
    assert [name for name, item in order[2:]] == ["warmed-a", "warmed-b", "good"]


def test_verdict_names_each_failed_part(capsys):
    outcomes = {"good": Outcome([FIGURE], [], ""), "bad": Outcome([], [], "no server")}
    assert verdict(outcomes, None) == 1
    assert verdict({"good": outcomes["good"]}, None) == 0
    assert "bench: FAILED: bad (no server)" in capsys.readouterr().err
