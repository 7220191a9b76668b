"""The command `report` against servers that are no Prometheus: one line, exit code 1, and bounds of time and memory."""

import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.cli.main import main
from exporter.core.durations import unix_time
from exporter.report import history
from exporter.report.history import EXPORTERS, FAILURES, MAINTENANCE, RESULTS

MIB = 1024 * 1024
PERIOD = ("--from", "2026-10-01T00:00:00Z", "--to", "2026-10-01T00:03:00Z")
START = int(unix_time("2026-10-01T00:00:00Z"))
METRIC = {"job": "ekm", "instance": "a", "target": "one", "vault": "v"}
UNREADABLE = "Prometheus sent an unreadable result: check the URL"
LARGE = "URL sent more than 32 MiB or 3000000 values: is it the Prometheus of the exporters?"
FOREIGN = "URL is no Prometheus: its response is not that of the API: check the URL"

Answer = Callable[[str, str], bytes]  # by path and query


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond("")

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._respond(form.get("query", [""])[0])

        def _respond(self, query: str) -> None:
            body = answer(self.path, query)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the client has left

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def success(data: Any) -> bytes:
    return json.dumps({"status": "success", "data": data}).encode()


def prometheus(results: dict[str, bytes] | None = None, series: bytes | None = None) -> Answer:
    """Answers like a Prometheus with one target and these results by query."""

    def answer(path: str, query: str) -> bytes:
        if path.endswith("/runtimeinfo"):
            return success({"storageRetention": "15y"})
        if path.endswith("/series"):
            return series or success([METRIC])
        return (results or {}).get(query, success({"result": []}))

    return answer


def matrix(metric: Any = METRIC, values: Any = ((START, "1"),)) -> bytes:
    return success({"result": [{"metric": metric, "values": values}]})


def run(answer: Answer, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    """Return the exit code and what went to standard error, without the address."""
    with serving(answer) as url:
        code = main(["report", "--prometheus", url, *(flags or PERIOD), "--timeout", "30s"])
    return code, capsys.readouterr().err.replace(url, "URL")


HOSTILE: dict[str, tuple[Answer, str]] = {
    "infinity": (prometheus({RESULTS: matrix(values=[[float("inf"), "1"]])}), UNREADABLE),
    "1e999": (prometheus({MAINTENANCE: matrix(values=[[0, "1"]]).replace(b"[0,", b"[1e999,")}), UNREADABLE),
    "no_number": (prometheus({EXPORTERS: matrix(values=[[float("nan"), "1"]])}), UNREADABLE),
    "time_elsewhere": (prometheus({RESULTS: matrix(values=[[0, "1"]])}), UNREADABLE),
    "label_number": (prometheus({FAILURES: matrix(METRIC | {"reason": 1})}), UNREADABLE),
    "label_list": (prometheus(series=success([METRIC | {"target": []}])), UNREADABLE),
    "series": (
        prometheus(series=success([{"target": f"t{number}"} for number in range(20_001)])),
        "Prometheus has 20001 series of targets, more than 20000: is it the Prometheus of the exporters?",
    ),
    "series_with_labels": (prometheus(series=success([METRIC | {"target": f"t{number}"} for number in range(800_000)])), LARGE),
    "nested": (prometheus({RESULTS: b"[" * 2_000_000}), FOREIGN),
    "lists": (prometheus({RESULTS: success([]).replace(b"[]", b"[" + b"[]," * (10 * MIB) + b"0]")}), LARGE),
    "values": (prometheus({RESULTS: success([]).replace(b"[]", b"[" + b"{}," * 1_400_000 + b"0]")}), UNREADABLE),
    "long": (prometheus({RESULTS: b" " * (33 * MIB)}), LARGE),
    "kinds": (
        prometheus(
            {FAILURES: success({"result": [{"metric": METRIC | {"reason": str(kind)}, "values": []} for kind in range(1001)]})}
        ),
        "Prometheus has more than 1000 kinds of failures: is it that of the exporters?",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answer_is_one_line_in_little_time_and_memory(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer, problem = HOSTILE[name]
    started = time.monotonic()
    tracemalloc.start()
    try:
        code, error = run(answer, capsys)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (code, error) == (1, f"ekm-exporter report: {problem}\n")
    assert peak < 450 * MIB
    assert time.monotonic() - started < 120


def test_gaps_have_a_limit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_GAPS", 1)
    code, error = run(prometheus({RESULTS: matrix(values=[[START + 60, "1"]])}), capsys)
    assert (code, error) == (1, "ekm-exporter report: the data have more than 1 gaps: report a shorter period\n")


def test_slow_server_ends_at_the_time_of_the_report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "WHOLE", 0.01)
    released = threading.Event()

    def answer(path: str, query: str) -> bytes:
        released.wait(20)
        return prometheus()(path, query)

    with serving(answer) as url:
        code = main(["report", "--prometheus", url, *PERIOD, "--timeout", "30s"])
        released.set()
    assert (code, capsys.readouterr().err) == (
        1,
        "ekm-exporter report: the history was not read within 0.3 s, 0.01 times --timeout: raise it, or report a shorter period\n",
    )


def test_vaults_of_thousands_of_targets_take_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    named = [METRIC | {"target": f"t{number}", "vault": f"v{number}"} for number in range(20_000)]
    results = success(
        {"result": [{"metric": one, "values": [[START + 60 * minute, "1"] for minute in range(3)]} for one in named]}
    )
    started = time.monotonic()
    code, error = run(prometheus({RESULTS: results}, success(named)), capsys)
    assert (code, error) == (0, "")
    assert time.monotonic() - started < 60


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["NaN", START, "1", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metric", "values", "result", "storageRetention", *METRIC]), inner, max_size=4)
    ),
    max_leaves=10,
)
SERIES = st.fixed_dictionaries(
    {"metric": JSON | st.just(METRIC), "values": JSON | st.lists(st.lists(JSON, max_size=2), max_size=2)}
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(info=JSON, series=JSON | st.lists(JSON | st.just(METRIC), max_size=3), result=JSON | st.lists(SERIES, max_size=3))
def test_random_answers_are_no_internal_error(info: Any, series: Any, result: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(path: str, _query: str) -> bytes:
        return success(info if path.endswith("/runtimeinfo") else series if path.endswith("/series") else {"result": result})

    code, error = run(answer, capsys)
    assert code in (0, 1, 2)
    assert "internal error" not in error
