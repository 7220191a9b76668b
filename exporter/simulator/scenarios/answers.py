"""Scenarios of answers with a good status that hold no such thing as was asked for.

Not for: bodies that do not arrive whole (see `network`).
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.core.faults import Reason
from exporter.core.model import Step
from exporter.simulator.scenarios.model import Scenario
from exporter.simulator.scenarios.parts import PARTS, WITH_BODY, Part, at

_CHALLENGE, _TOKEN, _GET, _WRAP, _UNWRAP = PARTS
_R = Reason

_EMPTY = {Step.TOKEN: 3307, Step.GET_KEY: 3403, Step.WRAP_KEY: 3609, Step.UNWRAP_KEY: 3709}
_NOT_JSON = {Step.TOKEN: 3307, Step.GET_KEY: 3404, Step.WRAP_KEY: 3607, Step.UNWRAP_KEY: 3707}
# what a member is when it is as good as missing, and what it is when it cannot be used
_INCOMPLETE = {"missing": "is missing", "null": "is null", "number": "is a number", "list": "is a list"}
_TWICE = {"twice": "comes twice, the second time as a number"}
_MALFORMED = {"unusable": "is no such thing", "blank": "is empty", "nul": "begins with a NUL"}


def _member(  # noqa: PLR0917 - a row of the table
    part: Part, name: str, fault: str, what: str, code: int, reason: Reason, kinds: dict[str, str]
) -> Iterator[Scenario]:
    for kind, words in kinds.items():
        yield Scenario(f"{name}_{kind}", f"{fault}_{kind}", part.place, part.step, code, code, reason, f"{what} {words}.")


ANSWERS: tuple[Scenario, ...] = (
    # bodies that are no JSON object
    *at((_TOKEN,), "empty", _EMPTY, None, _R.ANSWER_NOT_JSON, "Nothing comes instead of {awaited}."),
    *at(WITH_BODY[1:], "empty", _EMPTY, None, _R.ANSWER_EMPTY, "Nothing comes instead of {awaited}."),
    *at(WITH_BODY[1:], "whitespace", _EMPTY, None, _R.ANSWER_EMPTY, "Blanks come instead of {awaited}."),
    *at(WITH_BODY, "not_json", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Cut JSON comes instead of {awaited}."),
    *at(WITH_BODY, "html", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A captive portal's page comes instead of {awaited}."),
    *at(WITH_BODY, "json_list", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A JSON list comes instead of {awaited}."),
    *at(WITH_BODY, "json_text", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A JSON text comes instead of {awaited}."),
    *at(WITH_BODY, "json_number", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A JSON number comes instead of {awaited}."),
    *at(WITH_BODY, "json_null", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "JSON's null comes instead of {awaited}."),
    *at(WITH_BODY, "json_pair", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Two JSON objects come instead of {awaited}."),
    *at(WITH_BODY, "json_deep", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "JSON nested beyond reason comes instead of {awaited}."),
    *at(WITH_BODY, "json_huge_number", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A number of 100,000 digits comes along with {awaited}."),
    *at(WITH_BODY, "nul_bytes", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "NUL bytes come along with {awaited}."),
    *at(WITH_BODY, "not_utf8", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Bytes that are no UTF-8 come along with {awaited}."),
    *at(WITH_BODY, "broken_gzip", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Compressed bytes, unasked and broken, come instead of {awaited}."),
    # the token
    *_member(_TOKEN, "token", "token", "The token", 3306, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_TOKEN, "token", "token", "The token", 3308, _R.ANSWER_MALFORMED, _MALFORMED),
    # the key
    *_member(_GET, "key", "key", "The key", 3405, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_GET, "kid", "kid", "The key's id", 3406, _R.ANSWER_INCOMPLETE, _INCOMPLETE),
    *_member(_GET, "kid", "kid", "The key's id", 3412, _R.ANSWER_MALFORMED, _MALFORMED),
    *_member(_GET, "kty", "kty", "The key's type", 3407, _R.ANSWER_INCOMPLETE, _INCOMPLETE),
    *_member(_GET, "kty", "kty", "The key's type", 3, _R.KEY_UNSUPPORTED, _MALFORMED),
    *_member(_GET, "modulus", "n", "The key's modulus", 3408, _R.ANSWER_INCOMPLETE, _INCOMPLETE),
    *_member(_GET, "modulus", "n", "The key's modulus", 3409, _R.ANSWER_MALFORMED, _MALFORMED),
    *_member(_GET, "exponent", "e", "The key's exponent", 3410, _R.ANSWER_INCOMPLETE, _INCOMPLETE),
    *_member(_GET, "exponent", "e", "The key's exponent", 3411, _R.ANSWER_MALFORMED, _MALFORMED),
    # what was wrapped and unwrapped
    *_member(_WRAP, "wrap", "value", "The wrapped value", 3608, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_WRAP, "wrap", "value", "The wrapped value", 3606, _R.ANSWER_MALFORMED, _MALFORMED),
    *_member(_UNWRAP, "unwrap", "value", "The unwrapped value", 3708, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_UNWRAP, "unwrap", "value", "The unwrapped value", 3706, _R.ANSWER_MALFORMED, _MALFORMED),
    Scenario("other_bytes", "other_bytes", _UNWRAP.place, Step.UNWRAP_KEY, 1, 1, _R.BYTES_DIFFER, "Other bytes come back than went in."),
)  # fmt: skip
