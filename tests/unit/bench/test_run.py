"""The parts of the benchmark: their order in two trees, and a part that fails."""

from bench import parts
from bench.figures import Figure
from bench.parts import Outcome, Run, outcomes
from bench.sizes import TINY

FIGURE = Figure(what="one", runs=[1.0], unit="", how="")


def test_each_part_is_measured_in_both_trees_before_the_next(monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "PARTS", {name: lambda *_: iter([FIGURE]) for name in ("first", "second")})
    seen = []
    runs = [
        Run(sizes=TINY, folder=tmp_path / tree, on_figure=lambda name, _, tree=tree: seen.append((name, tree)))
        for tree in ("before", "after")
    ]
    assert [list(found) for found in outcomes(runs, ["first", "second"])] == [["first", "second"]] * 2
    assert seen == [("first", "before"), ("first", "after"), ("second", "before"), ("second", "after")]


def test_failed_part_keeps_its_figures_and_those_of_the_others(monkeypatch, tmp_path):
    def crash(*_):
        yield FIGURE
        raise RuntimeError("no server")

    monkeypatch.setattr(parts, "PARTS", {"crash": crash, "good": lambda *_: iter([FIGURE])})
    seen = []
    run = Run(sizes=TINY, folder=tmp_path, on_figure=lambda name, figure: seen.append((name, figure)))
    (found,) = outcomes([run], ["crash", "good"])
    assert found == {"crash": Outcome([FIGURE], "RuntimeError: no server"), "good": Outcome([FIGURE])}
    assert seen == [("crash", FIGURE), ("good", FIGURE)]
