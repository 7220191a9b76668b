"""The comparison with another commit: arguments, ratios, tables, and the files of the commit."""

import subprocess
import sys

import pytest

from bench.__main__ import main, parsed
from bench.exposed import alike, series
from bench.groups import AIOHTTP, ASYNCIO, HANDSHAKE, PIPELINE, RECORDING, REST, group_of
from bench.items import Broken, Mark, Pair, decoded, encoded, pairs_table
from bench.programs import Bench, Running
from bench.summary import ROWS, summary
from bench.table import Figure
from bench.trees import LOCK, Tree, TreeError, commit_of, this_tree, unpacked

TREE = Tree(name="abc1234", root="other", python="python", words=(("auxiliary_interval", "beside_interval"),))
PAIR = Pair(what="a probe", unit=" ms", before=[4.0, 5.0], after=[2.0, 5.0], how="in turn")
FIGURE = Figure(what="a probe", runs=[1.5, float("inf")], unit=" ms", how="", commit=2, busy=0.5)
METRICS = """\
# TYPE ekm_up gauge
ekm_up{target="a"} 1
ekm_up{target="b"} 1
# TYPE ekm_step_seconds histogram
ekm_step_seconds_bucket{target="a",step="wrap",le="1"} 1
ekm_step_seconds_bucket{step="wrap",target="a",le="+Inf"} 1
ekm_step_seconds_sum{step="wrap",target="a"} 0.5
ekm_step_seconds_count{step="wrap",target="a"} 1
ekm_exporter_targets 2
"""


def git(root, *arguments):
    name = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
    subprocess.run(("git", "-C", root, *name, *arguments), check=True, capture_output=True)  # noqa: S603, S607 - fixed commands


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit."""
    root = tmp_path / "repository"
    (root / "exporter").mkdir(parents=True)
    (root / "exporter" / "__init__.py").write_text("", encoding="utf-8")
    (root / LOCK).write_text("one==1\n", encoding="utf-8")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


@pytest.mark.parametrize("item", [PAIR, FIGURE, Broken("no server"), Mark.WARM], ids=["pair", "figure", "broken", "mark"])
def test_item_survives_its_line(item):
    assert decoded(encoded(item)) == item


def test_pair_is_a_row_with_the_median_of_its_ratios():
    header, _, row = pairs_table([PAIR], "abc1234").splitlines()
    assert "| abc1234 | this tree | ratio |" in header
    assert row == "| a probe | 4.50 ms | 3.50 ms | **0.750** | 0.500 to 1.00 | 2 | in turn |"


def test_turns_alternate_with_another_tree_only(tmp_path):
    server = Running(pid=1, url="")
    alone = Bench(folder=tmp_path, server=server, port=1, ca_file=tmp_path)
    both = Bench(folder=tmp_path, server=server, port=1, ca_file=tmp_path, other=TREE)
    assert [alone.turns(number) for number in (0, 1)] == [(None,), (None,)]
    assert [both.turns(number) for number in (0, 1)] == [(None, TREE), (TREE, None)]


def test_older_commit_has_its_own_words():
    assert TREE.adapted("auxiliary_interval: 1s") == "beside_interval: 1s"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "HEAD", "storm"], "part 'storm' cannot be compared: --compare has start, probes"),
        (["--compare"], "expected one argument"),
    ],
)
def test_comparison_refuses_invalid_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parsed(arguments)
    assert message in capsys.readouterr().err


def test_unknown_revision_is_one_line_before_anything_runs(capsys):
    assert main(["--compare", "no-such-revision", "start"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bench: --compare no-such-revision: no such commit here")


def test_commit_is_unpacked_with_this_interpreter_if_the_locks_are_equal(repository, tmp_path):
    (repository / "exporter" / "new.py").write_text("", encoding="utf-8")
    tree = unpacked("HEAD", tmp_path / "other", repository)
    assert (tree.python, tree.name) == (sys.executable, commit_of("HEAD", repository)[: len(tree.name)])
    assert [path.name for path in (tmp_path / "other" / "exporter").iterdir()] == ["__init__.py"]


def test_commit_without_a_lock_is_refused(repository, tmp_path):
    (repository / LOCK).unlink()
    git(repository, "commit", "-q", "-a", "-m", "second")
    (repository / LOCK).write_text("one==1\n", encoding="utf-8")
    with pytest.raises(TreeError, match=rf"has no {LOCK}"):
        unpacked("HEAD", tmp_path / "other", repository)


def test_uncommitted_changes_are_named(repository):
    clean = this_tree(repository)
    (repository / "exporter" / "__init__.py").write_text("new = 1\n", encoding="utf-8")
    assert this_tree(repository) == f"{clean} with uncommitted changes"


def test_folder_without_git_is_refused(tmp_path):
    with pytest.raises(TreeError, match="no such commit here"):
        commit_of("HEAD", tmp_path)


def test_series_of_a_usual_target_are_counted_by_kind():
    only_a = "".join(line for line in METRICS.splitlines(keepends=True) if 'target="b"' not in line)
    assert series(only_a) == {"all": 5, "of histograms": 4, "of other metrics": 1, "with native histograms": 2}
    assert (alike(only_a), alike(METRICS), alike("")) == (1.0, 0.5, 0.0)


@pytest.mark.parametrize(
    ("stack", "group"),
    [
        (
            [("/usr/lib/python3.13/ssl.py", "do_handshake"), ("/usr/lib/python3.13/asyncio/sslproto.py", "_do_handshake")],
            HANDSHAKE,
        ),
        ([("/usr/lib/python3.13/ssl.py", "read"), ("/usr/lib/python3.13/asyncio/sslproto.py", "data_received")], ASYNCIO),
        ([("/usr/lib/python3.13/json/encoder.py", "encode"), ("/site-packages/azure/core/rest.py", "__init__")], PIPELINE),
        ([("/site-packages/aiohttp/client.py", "_request"), ("/site-packages/azure/core/rest.py", "send")], AIOHTTP),
        ([("C:\\ekm\\exporter\\state\\records.py", "add_report"), ("exporter/probing/prober.py", "probe")], RECORDING),
        ([("exporter/probing/prober.py", "probe"), ("/usr/lib/python3.13/asyncio/events.py", "_run")], REST),
        ([("<string>", "<module>")], REST),
    ],
)
def test_innermost_known_frame_decides_the_group(stack, group):
    assert group_of(stack) == group


def test_summary_shows_what_was_not_measured_and_names_missed_aims():
    missed = Figure(what="**process start to first probe**", runs=[0.9], unit=" s", how="", commit=1.5, aim=0.7)
    text = summary([missed])
    assert "| start of the process to its first probe | 0.900 s |" in text
    assert "| bounds (*commit*) that were not kept | none |" in text
    assert "| aims (*aim*) that were missed | process start to first probe |" in text
    assert text.count("not measured") == sum(len(row.figures) for row in ROWS) - 1
