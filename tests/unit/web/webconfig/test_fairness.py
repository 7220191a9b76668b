"""The order of waiting password checks, and the limits of the queue."""

from exporter.web.webconfig import fairness
from exporter.web.webconfig.fairness import FairQueue, Guesses


def test_count_of_guesses_halves_with_time():
    now = [0.0]
    guesses = Guesses(clock=lambda: now[0])
    for _ in range(4):
        guesses.add("a")
    assert (guesses.of("a"), guesses.of("b")) == (4.0, 0.0)
    now[0] += 2 * fairness.HALF_LIFE_SECONDS
    assert guesses.of("a") == 1.0


def test_counts_of_many_sources_are_bounded():
    guesses = Guesses(clock=lambda: 0.0)
    for number in range(fairness._MOST_SOURCES + 1):
        guesses.add(str(number))
    assert [guesses.of("0"), guesses.of("1")] == [0.0, 1.0]


def drained(queue):
    return [queue.get()[1] for _ in range(len(queue))]


def test_sources_take_turns_and_the_cheapest_is_first():
    queue = FairQueue(10, 3)
    for item, source, cost in [("a1", "a", 0), ("a2", "a", 0), ("b1", "b", 5), ("c1", "c", 0), ("c2", "c", 0)]:
        assert queue.put(item, source, cost) is None
    assert drained(queue) == ["a1", "c1", "a2", "c2", "b1"]


def test_full_queue_drops_its_most_expensive_item():
    queue = FairQueue(2, 2)
    assert queue.put("a1", "a", 7) is None
    assert queue.put("b1", "b", 1) is None
    assert queue.put("new", "c", 0) == "a1"
    assert queue.put("late", "d", 3) == "late"
    assert drained(queue) == ["new", "b1"]


def test_source_has_its_own_limit_in_the_queue():
    queue = FairQueue(10, 2)
    assert [queue.put(number, "a", 0) for number in range(3)] == [None, None, 2]
    queue.get()
    assert queue.put(3, "a", 0) is None
