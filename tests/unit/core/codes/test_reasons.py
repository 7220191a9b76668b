"""Every reason has its own text."""

from exporter.core.codes.reasons import REASON_TEXTS, cause
from exporter.core.faults import Reason


def test_every_reason_has_its_own_text():
    assert set(REASON_TEXTS) == set(Reason)
    assert len(set(REASON_TEXTS.values())) == len(Reason)


def test_reason_text_continues_a_sentence():
    assert [words for words in REASON_TEXTS.values() if words.endswith(".") or len(words) > 90] == []
    assert cause(Reason.SECRET_EXPIRED) == "the client secret has expired"
    assert cause(None) == "the reason is not known"
