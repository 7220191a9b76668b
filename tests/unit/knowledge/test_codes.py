"""The table of codes: complete, consistent in itself and with the classification, and readable."""

import re
from collections import Counter
from copy import deepcopy
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.values import Generation
from exporter.explain.messages import KNOWN_TEXTS
from exporter.knowledge import classify
from exporter.knowledge.advice import SERVER_ACTIONS
from exporter.knowledge.checks import CHECKS
from exporter.knowledge.code_row import (
    CONFIRM,
    DO_NOT_RESTART,
    UNDO,
    WITHOUT_WRAP,
    Category,
    ConnectorError,
    Family,
    Layer,
    Owner,
    for_dba,
    for_network,
    reader_of,
    reworded,
)
from exporter.knowledge.codes import BY_CODE, CODES, both_numbers, find, generation_code
from exporter.knowledge.names import Names, fill_names
from exporter.knowledge.reasons import Reason
from tests.support.values import replace

PAIRS = [
    (int(code), symbol)
    for code, symbol in (
        line.split("\t") for line in Path(__file__).with_name("codes_and_symbols.tsv").read_text("utf-8").splitlines()
    )
]
COUNTERPARTS = {
    **{code: code + 98 for code in range(3002, 3014)},
    **{code: code + 100 for code in range(3014, 3020)},
    3076: 3112,
    3077: 3113,
}
SUCCESSES = {0, 3000}
COMMANDS = {"run", "check", "probe", "doctor", "explain", "inventory", "script", "simulate", "demo"}
CONFIGURATION_WORDS = {
    "authority_host", "certificate_file", "client_id", "client_secret_env", "client_secret_file", "password_file",
    "secret_file", "tenant_id", "key_ops", "access_token",
}  # fmt: skip


def texts(row: ConnectorError) -> tuple[str, ...]:
    reason = (row.unobservable_because,) if row.unobservable_because else ()
    effect = (row.effect,) if row.effect else ()
    return (row.summary, *effect, *row.causes, *row.actions, *reason)


def spans(row: ConnectorError) -> list[str]:
    return [span for text in texts(row) for span in re.findall(r"`([^`]*)`", text)]


every_row = pytest.mark.parametrize("row", CODES, ids=lambda row: str(row.code))


def test_every_code_is_listed_once_in_order_with_its_symbol():
    assert [(row.code, row.symbol) for row in CODES] == PAIRS
    assert len(BY_CODE) == len(CODES) == 146


def test_thirty_four_rows_are_about_memory():
    rows = [row for row in CODES if row.category is Category.RESOURCE]
    assert len(rows) == 34
    assert all("OutOfMemory" in row.symbol for row in rows)
    assert not [row.code for row in CODES if "OutOfMemory" in row.symbol and row not in rows]


def test_a_symbol_is_unique_within_a_generation():
    for generation in (Family.CLASSIC, Family.CURRENT):
        seen = Counter(row.symbol for row in CODES if row.generation in (generation, Family.BOTH))
        assert seen.most_common(1)[0][1] == 1


def test_twenty_codes_have_a_counterpart_that_points_back():
    assert {row.code: row.counterpart for row in CODES if row.generation is Family.CLASSIC} == COUNTERPARTS
    assert {row.counterpart: row.code for row in CODES if row.generation is Family.CURRENT} == COUNTERPARTS
    assert all(row.counterpart is None for row in CODES if row.generation is Family.BOTH)
    assert len(COUNTERPARTS) == 20


@pytest.mark.parametrize(("classic", "current"), COUNTERPARTS.items())
def test_counterparts_have_the_same_texts(classic, current):
    one, other = BY_CODE[classic], BY_CODE[current]
    assert replace(one, code=current, counterpart=classic, generation=Family.CURRENT) == other


def test_observable_codes_equal_the_codes_of_the_classification():
    given_codes = {rule.code for rule in (*classify.STATUS_RULES, *classify.FAULT_RULES)} | {classify.UNKNOWN}
    seen = {row.code for row in CODES if row.observable and row.generation is not Family.CURRENT}
    assert seen == given_codes
    assert {row.counterpart for row in CODES if row.code in given_codes and row.counterpart} == {
        row.code for row in CODES if row.observable and row.generation is Family.CURRENT
    }


@every_row
def test_row_has_causes_and_actions(row):
    if row.code in SUCCESSES:
        assert (row.category, row.causes, row.actions) == (Category.SUCCESS, (), ())
    else:
        assert row.category is not Category.SUCCESS
        assert row.causes
        assert row.actions


@every_row
def test_text_fits_a_label_and_command_fits_a_line(row):
    assert all("|" not in text and (text[0].isupper() or text[0] == "`") for text in texts(row))
    assert 40 <= len(row.summary) <= 260
    assert all(len(text) <= 150 for text in (*row.causes, *row.actions))
    assert all(len(span) <= 74 for span in spans(row))
    assert len(row.causes) <= 5
    assert len(row.actions) <= 7


@every_row
def test_row_repeats_no_text(row):
    assert len(set(texts(row))) == len(texts(row))


def test_only_counterparts_share_a_summary():
    meanings = Counter(row.summary for row in CODES if row.generation is not Family.CURRENT)
    assert meanings.most_common(1)[0][1] == 1


@every_row
def test_row_names_only_existing_codes_commands_and_reasons(row):
    for text in texts(row):
        assert {int(number) for number in re.findall(r"\b3\d{3}\b", text)} - {3072} <= set(BY_CODE)
    for span in spans(row):
        if span.startswith("ekm-exporter "):
            assert span.split()[1] in COMMANDS
        elif re.fullmatch(r"[a-z]+(_[a-z]+)+", span) and not span.startswith("ekm_"):
            assert span in {reason.value for reason in Reason} | CONFIGURATION_WORDS


def test_fallback_code_is_a_classic_http_code():
    fallbacks = {row.code: row.fallback for row in CODES if row.fallback is not None}
    assert fallbacks == {3128: 3012, 3303: 3010, 3305: 3010, 3900: 3008}
    assert all(BY_CODE[one].layer is Layer.HTTP and one in COUNTERPARTS for one in fallbacks.values())


def test_only_counterparts_change_with_the_generation():
    for row in CODES:
        classic, current = (generation_code(row.code, generation) for generation in Generation)
        if row.code in COUNTERPARTS or row.code in COUNTERPARTS.values():
            assert COUNTERPARTS[classic] == current
        else:
            assert classic == current == row.code


def test_unknown_code_raises_key_error():
    with pytest.raises(KeyError):
        generation_code(3020, Generation.CLASSIC)
    with pytest.raises(KeyError):
        both_numbers(3020)


def test_both_numbers_start_with_the_given_one():
    assert both_numbers(3077) == "3077 (3113 on connector 1.0.5.0)"
    assert both_numbers(3113) == "3113 (3077 before connector 1.0.5.0)"
    assert both_numbers(3900) == "3900"


def test_find_accepts_number_and_symbol_in_any_case():
    assert find("3303") == find(" errorgettokenbadcredentials\n") == (BY_CODE[3303],)
    assert find("ErrorHttpOperationForbidden") == (BY_CODE[3077], BY_CODE[3113])
    assert find("throttled") == find("") == find("03303") == ()


@given(st.text())
def test_find_accepts_any_text(text):
    assert all(text.strip().casefold() in (str(row.code), row.symbol.casefold()) for row in find(text))


# The exporter's own credential, a successful exchange, the creation of a key, and a key backup by the connector.
WITHOUT_EFFECT = {0, 2, 3, 4, 6, 2049, 2052, 2057, 3000, *range(3500, 3507), *range(3800, 3809), *range(3820, 3823)}


@every_row
def test_effect_names_the_three_clocks_or_wrap(row):
    if row.code in WITHOUT_EFFECT:
        assert row.effect == ""
        return
    clocks = ("Now: ", "At the next virtual log file (VLF) or backup: ", "At a restart: ")
    only_wrap = row.layer is Layer.WRAP_KEY and row.effect == WITHOUT_WRAP
    assert only_wrap or [row.effect.count(clock) for clock in clocks] == [1, 1, 1]


@every_row
def test_row_that_forbids_a_restart_has_an_effect(row):
    assert row.effect if DO_NOT_RESTART in row.actions else True


def test_advice_against_a_restart_protects_log_and_backups():
    assert "log space" in DO_NOT_RESTART
    assert "do not shrink" in DO_NOT_RESTART
    assert "no new backup chain" in DO_NOT_RESTART


@pytest.mark.parametrize("code", [2050, 3303])
def test_no_action_restarts_all_nodes_at_once(code):
    last = BY_CODE[code].actions[-2:]
    assert not any("restart the SQL Server service" in action for action in BY_CODE[code].actions)
    assert any("node by node" in action and "SET ONLINE" in action for action in last)


def test_3303_forbids_a_restart_before_databases_open():
    *_, before, last = BY_CODE[3303].actions
    assert before == DO_NOT_RESTART
    assert "SET ONLINE" in last


# The reader of an action.

NAMES = Names(target="t", vault="contoso.vault.azure.net", key="K", version="v")


def test_plain_action_is_of_the_team_of_the_failure():
    assert reader_of("Wait.") is None
    assert reader_of(reworded("Wait.", "Wait a minute.")) is None


def test_action_equals_its_text():
    assert for_dba("Wait.") == "Wait."
    assert {for_dba("Wait."): 1}["Wait."] == 1


def test_filled_and_copied_action_keeps_its_reader():
    filled = fill_names(for_network("Resolve `HOST`."), NAMES)
    assert filled == "Resolve `contoso.vault.azure.net`."
    assert reader_of(filled) is Owner.NETWORK
    assert reader_of(deepcopy(for_dba("Wait."))) is Owner.DBA


# The rules of every text about a failure: of codes, messages, checks and reasons.

OF_CODES = [text for row in CODES for text in (row.summary, row.effect, *row.causes, *row.actions, row.unobservable_because)]
OF_MESSAGES = [text for known in KNOWN_TEXTS for text in (known.summary, *known.causes, *known.actions)]
OF_CHECKS = [text for check in CHECKS for text in (*check.actions, *check.of_certificate, *check.on_hsm)]
OF_REASONS = [*CONFIRM, UNDO, *(text for each in Reason for text in chain(each.row.actions, *each.row.by_kind.values()))]


@pytest.mark.parametrize(
    ("texts", "ends"),
    [
        (OF_CODES, ".?!;"),
        (OF_MESSAGES, ".?!;:"),
        (OF_CHECKS, ".?!"),
        (OF_REASONS, ".?!;:"),
        (map(str, SERVER_ACTIONS.values()), ".?!"),
    ],
    ids=["codes", "messages", "checks", "reasons", "servers"],
)
def test_text_is_short_ascii_sentences_that_stand_alone(texts, ends):
    for text in filter(None, texts):
        plain = re.sub(r"`[^`]*`", "CODE", text)
        assert text.isascii()
        assert text.endswith((".", "?", ";`."))
        assert "`" not in plain
        assert plain == " ".join(plain.split())
        assert ".." not in plain
        assert "docs/" not in text  # the host has no documentation
        assert max(len(sentence.split()) for sentence in re.split(rf"(?<=[{ends}])\s+", plain)) <= 25, text
