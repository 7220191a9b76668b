"""The arithmetic, with literal series: one character for each minute."""

from collections.abc import Mapping

from exporter.report.minutes import Exporter, MinuteClass, Minutes, Points, ReportedTarget, Row, Slice

A, B = Exporter("ekm", "a"), Exporter("ekm", "b")
ONE, TWO = ReportedTarget("v", "one"), ReportedTarget("v", "two")
VALUES = {"1": 1.0, "0": 0.0, "t": 0.0, "u": 0.0, "?": 2.0}  # a space is a minute without a sample
FAILURES = {"t": ("get_key", "throttled"), "u": ("challenge", "dns_not_found")}


def points(text: str) -> Points:
    return {number: VALUES.get(mark, 1.0) for number, mark in enumerate(text) if mark != " "}


def part(
    results: Mapping[tuple[Exporter, ReportedTarget], str],
    *,
    alive: Mapping[Exporter, str] | None = None,
    planned: Mapping[tuple[Exporter, ReportedTarget], str] | None = None,
    first: int = 0,
) -> Slice:
    return Slice(
        first=first,
        minutes=max(len(text) for text in results.values()),
        results={key: points(text) for key, text in results.items()},
        failures={
            key: [
                (*failure, {number: 1.0 for number, found in enumerate(text) if found == mark})
                for mark, failure in FAILURES.items()
            ]
            for key, text in results.items()
        },
        maintenance={key: points(text) for key, text in (planned or {}).items()},
        exporters={key: points(text) for key, text in (alive or {}).items()},
    )


def numbers(row: Row) -> dict[str, int]:
    return {kind.value: row.count(kind) for kind in MinuteClass if row.count(kind)}


def summed(*parts: Slice) -> Minutes:
    minutes = Minutes({key for each in parts for key in each.results})
    for each in parts:
        minutes.add(each)
    return minutes


def test_each_mark_of_a_series_counts_once() -> None:
    minutes = summed(part({(A, ONE): "11ttu0?  1"}, alive={A: "1111111 11"}))
    assert numbers(minutes.targets[ONE]) == {
        "answered": 3,
        "throttled": 2,
        "unreachable": 1,
        "not_tested": 1,  # failed without a reason
        "no_probe": 1,
        "no_data": 1,
        "not_configured": 1,
    }


def test_answered_series_counts_in_slices_of_any_length() -> None:
    minutes = summed(part({(A, ONE): "1" * 180}), part({(A, ONE): "1"}, first=180))
    assert numbers(minutes.targets[ONE]) == {"answered": 181}
    assert numbers(minutes.vaults["v"]) == {"answered": 181}


def test_gap_over_two_slices_is_one_gap() -> None:
    minutes = summed(part({(A, ONE): "11  "}), part({(A, ONE): " 1?1"}, first=4))
    assert minutes.targets[ONE].gaps == [(MinuteClass.NO_DATA, 2, 5), (MinuteClass.NO_PROBE, 6, 7)]


def test_gap_after_an_answer_is_a_second_gap() -> None:
    minutes = summed(part({(A, ONE): "1 1 "}))
    assert minutes.targets[ONE].gaps == [(MinuteClass.NO_DATA, 1, 2), (MinuteClass.NO_DATA, 3, 4)]


def test_maintenance_is_left_out_whatever_the_probe_got() -> None:
    minutes = summed(part({(A, ONE): "1tu1"}, planned={(A, ONE): " 111"}))
    assert numbers(minutes.targets[ONE]) == {"answered": 1, "maintenance": 3}


def test_target_that_appears_and_disappears_has_no_gap_while_its_exporter_runs() -> None:
    minutes = summed(part({(A, ONE): "  11  "}, alive={A: "111111"}))
    assert numbers(minutes.targets[ONE]) == {"answered": 2, "not_configured": 4}
    assert minutes.targets[ONE].gaps == []


def test_two_exporters_of_a_target_give_the_better_minute() -> None:
    minutes = summed(part({(A, ONE): "u1 ut", (B, ONE): "1u1u?"}, planned={(B, ONE): "    1"}))
    assert numbers(minutes.targets[ONE]) == {"answered": 3, "unreachable": 1, "maintenance": 1}


def test_vault_has_the_best_minute_of_its_targets() -> None:
    minutes = summed(part({(A, ONE): "1tuuu", (A, TWO): "tut u"}, planned={(A, ONE): "    1"}))
    assert numbers(minutes.targets[TWO]) == {"throttled": 2, "unreachable": 2, "no_data": 1}
    # The last minute is maintenance of one target, so the other target decides.
    assert numbers(minutes.vaults["v"]) == {"answered": 1, "throttled": 2, "unreachable": 2}


def test_vault_answered_if_one_target_always_answered() -> None:
    minutes = summed(part({(A, ONE): "tu?", (A, TWO): "111"}))
    assert numbers(minutes.vaults["v"]) == {"answered": 3}


def test_targets_and_vaults_without_a_minute_are_dropped() -> None:
    other = ReportedTarget("w", "other")
    minutes = summed(part({(A, ONE): "1 ", (A, TWO): "  ", (A, other): "  "}, alive={A: "1"}))
    minutes.drop_absent()
    assert (list(minutes.targets), list(minutes.vaults)) == ([ONE], ["v"])


def test_gaps_of_all_targets_are_counted() -> None:
    minutes = summed(part({(A, ONE): "1  1 1", (A, TWO): "1 1111"}))
    assert minutes.gaps == 3
