"""Every reason has words of its own."""

from exporter.core.codes.reasons import IN_WORDS, cause
from exporter.core.faults import Reason


def test_every_reason_has_words_and_no_two_the_same():
    assert set(IN_WORDS) == set(Reason)
    assert len(set(IN_WORDS.values())) == len(Reason)


def test_the_words_continue_a_sentence():
    assert [words for words in IN_WORDS.values() if words.endswith(".") or len(words) > 90] == []
    assert cause(Reason.SECRET_EXPIRED) == "the client secret has expired"
    assert cause(None) == "the reason is not known"
