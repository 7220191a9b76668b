"""Scenarios of responses with a good status and an unusable body.

Bodies that arrive incomplete are in `network`.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.core.model import Step
from exporter.core.reasons import Reason
from exporter.simulator.scenarios.model import Scenario
from exporter.simulator.scenarios.parts import BODY_PARTS, PARTS, Part, step_scenarios

_CHALLENGE, _TOKEN, _GET, _WRAP, _UNWRAP = PARTS
_R = Reason

_EMPTY = {Step.TOKEN: 3307, Step.GET_KEY: 3403, Step.WRAP_KEY: 3609, Step.UNWRAP_KEY: 3709}
_NOT_JSON = {Step.TOKEN: 3307, Step.GET_KEY: 3404, Step.WRAP_KEY: 3607, Step.UNWRAP_KEY: 3707}
# a member that counts as missing, a repeated member, and an unusable one
_INCOMPLETE = {"missing": "is missing", "null": "is null", "number": "is a number", "list": "is a list"}
_TWICE = {"twice": "appears twice, the second time as a number"}
_MALFORMED = {"unusable": "is malformed", "blank": "is empty", "nul": "begins with a NUL"}


def _member(  # noqa: PLR0917 - a row of the table
    part: Part, name: str, fault: str, what: str, code: int, reason: Reason, kinds: dict[str, str]
) -> Iterator[Scenario]:
    """Yield a scenario for each defect of one member of a response."""
    for kind, words in kinds.items():
        yield Scenario(f"{name}_{kind}", f"{fault}_{kind}", part.scope, part.step, code, code, reason, f"{what} {words}.")


UNUSABLE_BODIES: tuple[Scenario, ...] = (
    # bodies that are not a JSON object
    *step_scenarios((_TOKEN,), "empty", _EMPTY, None, _R.ANSWER_NOT_JSON, "The body is empty instead of {awaited}."),
    *step_scenarios(BODY_PARTS[1:], "empty", _EMPTY, None, _R.ANSWER_EMPTY, "The body is empty instead of {awaited}."),
    *step_scenarios(BODY_PARTS[1:], "whitespace", _EMPTY, None, _R.ANSWER_EMPTY, "Blanks arrive instead of {awaited}."),
    *step_scenarios(BODY_PARTS, "not_json", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Truncated JSON arrives instead of {awaited}."),
    *step_scenarios(BODY_PARTS, "html", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A captive portal sends its page instead of {awaited}."),
    *step_scenarios(BODY_PARTS, "json_list", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A JSON list arrives instead of {awaited}."),
    *step_scenarios(BODY_PARTS, "json_text", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A JSON string arrives instead of {awaited}."),
    *step_scenarios(BODY_PARTS, "json_number", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A JSON number arrives instead of {awaited}."),
    *step_scenarios(BODY_PARTS, "json_null", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "The JSON value null arrives instead of {awaited}."),
    *step_scenarios(BODY_PARTS, "json_pair", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Two JSON objects arrive instead of {awaited}."),
    *step_scenarios(BODY_PARTS, "json_deep", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "JSON nested 100,000 deep arrives instead of {awaited}."),
    *step_scenarios(BODY_PARTS, "json_huge_number", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A number of 100,000 digits arrives with {awaited}."),
    *step_scenarios(BODY_PARTS, "nul_bytes", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "NUL bytes arrive with {awaited}."),
    *step_scenarios(BODY_PARTS, "not_utf8", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Bytes that are not UTF-8 arrive with {awaited}."),
    *step_scenarios(BODY_PARTS, "broken_gzip", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Truncated gzip arrives instead of {awaited}."),
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
    # the wrapped and unwrapped values
    *_member(_WRAP, "wrap", "value", "The wrapped value", 3608, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_WRAP, "wrap", "value", "The wrapped value", 3606, _R.ANSWER_MALFORMED, _MALFORMED),
    *_member(_UNWRAP, "unwrap", "value", "The unwrapped value", 3708, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_UNWRAP, "unwrap", "value", "The unwrapped value", 3706, _R.ANSWER_MALFORMED, _MALFORMED),
    Scenario("other_bytes", "other_bytes", _UNWRAP.scope, Step.UNWRAP_KEY, 1, 1, _R.BYTES_DIFFER, "The unwrapped bytes differ from the original."),
)  # fmt: skip
