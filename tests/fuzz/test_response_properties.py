"""Any response gets a code and a reason, in bounded time and memory, without an exception."""

import json
import string
import time
import tracemalloc
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.clients.http.exchange import MAX_BODY_BYTES
from exporter.core.values import Step
from tests.fuzz import seeds
from tests.fuzz.exchanges import SECRET, TOKEN, Reported
from tests.fuzz.invariants import check_answer, check_text

BOUNDED = settings(deadline=timedelta(seconds=10), max_examples=200)

# Header values as aiohttp decodes them from bytes.
wire_texts = st.binary(max_size=80).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
latin_texts = st.text(st.characters(max_codepoint=255), max_size=80)
waiting_times = st.sampled_from(
    ["0", "-1", "1e9", "9" * 400, "1.5", "0x10", " 7 ", "٣", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 0000 07:28:00 GMT",
     "Sun Nov  6 08:49:37 1994", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359", "1 1 1 1:1:1 1"]
)  # fmt: skip
challenges = st.lists(
    st.sampled_from(
        ["Bearer ", "bearer ", 'authorization="https://', 'authorization_uri="', "login.microsoftonline.com", "login.windows.net",
         "/", "contoso", "..", '"', ", ", 'resource="', "https://vault.azure.net", "http://", ":443", "@", " ", "\t", "\x00", "\u017f", "\u212a"]
    ) | st.text(string.printable, max_size=4),
    max_size=12,
).map("".join)  # fmt: skip
NAMED_HEADERS = {
    "Date": waiting_times,
    "Retry-After": waiting_times,
    "WWW-Authenticate": challenges | st.just(seeds.CHALLENGE),
    "Content-Type": st.sampled_from(["application/json", "text/html", "application/json; charset=utf-16", ""]),
    "Content-Encoding": st.sampled_from(["gzip", "identity"]),
    "x-ms-request-id": st.just("0" * 129),
    "x-ms-keyvault-region": st.just('westeurope"} 1\nekm_probe_success{target="x'),
    "x-ms-keyvault-service-version": st.just("1.9.0.0\r\n"),
    "x-ms-keyvault-network-info": st.sampled_from(
        ["conn_type=;addr=;", "addr=::ffff:10.0.0.1", "addr=1.2.3.4.5", "=;=;", "conn_type"]
    ),
}
headers = st.lists(
    st.one_of(
        *(st.tuples(st.just(name), values | wire_texts | latin_texts) for name, values in NAMED_HEADERS.items()),
        st.tuples(st.text(string.ascii_letters + "-", min_size=1, max_size=20), wire_texts),
    ),
    max_size=8,
).map(tuple)
statuses = st.sampled_from([200, 201, 204, 299, 301, 304, 400, 401, 403, 404, 407, 409, 429, 500, 503]) | st.integers(100, 999)
steps = st.sampled_from(Step)

# Values that replace any part of a document.
odd_texts = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    [
        "",
        "\x00",
        "\ud800",
        "\udfff",
        "\u202e",
        SECRET,
        TOKEN,
        "=" * 9,
        "A" * 100,
        "AADSTS7000222",
        "AKV10022",
        "https://",
        "\ufeff",
        "NaN",
    ]
)
odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([10**400, -(10**400), 2**63, -1]) | st.floats() | odd_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = [
    *seeds.GOOD_BODIES.values(),
    *(json.loads(reported.body) for reported in seeds.refusals()),
]


@st.composite
def changed_documents(draw):
    """A valid response or a refusal with dropped, renamed, nested, replaced or duplicate parts."""
    document = json.loads(json.dumps(draw(st.sampled_from(DOCUMENTS))))
    for _ in range(draw(st.integers(0, 4))):
        place = _somewhere(draw, document)
        if not place:
            break
        name = draw(st.sampled_from(sorted(place)))
        match draw(st.sampled_from(["drop", "rename", "nest", "replace", "lift"])):
            case "drop":
                del place[name]
            case "rename":
                place[draw(st.sampled_from([name.upper(), name + "\x00", "value", "key", "error", "kid"]) | odd_texts)] = (
                    place.pop(name)
                )
            case "nest":
                place[name] = draw(st.sampled_from([{name: place[name]}, [place[name]], [[[place[name]]]]]))
            case "replace":
                place[name] = draw(odd_values)
            case "lift":
                document[name] = place[name]
    return document


def _somewhere(draw, document):
    place = document
    while inner := [value for value in place.values() if isinstance(value, dict) and value]:
        if draw(st.booleans()):
            return place
        place = draw(st.sampled_from(inner))
    return place


@st.composite
def changed_bodies(draw):
    """A changed document as bytes, mostly in the correct encoding."""
    text = json.dumps(draw(changed_documents()), ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):  # a duplicate key
        text = text.replace("{", '{"value":7,"key":[],"error":null,', 1)
    encoding = draw(st.sampled_from(["utf-8"] * 5 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp037"]))
    data = text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
    cut = draw(st.integers(0, len(data))) if draw(st.integers(0, 4)) == 0 else len(data)
    depth = draw(st.sampled_from([0] * 8 + [50, 5000]))
    return b'{"key":' * depth + data[:cut] + b"}" * depth


@BOUNDED
@given(steps, statuses, headers, st.binary(max_size=300), st.sampled_from(["whole", "cut", "late"]))
@example(Step.TOKEN, 200, (), b'{"access_token":"x","expires_in":1e999}', "whole")
@example(Step.TOKEN, 200, (), b'{"access_token":"x","expires_on":' + b"9" * 4000 + b"}", "whole")
def test_any_status_headers_and_bytes_get_a_code(step, status, headers, body, came):
    check_answer(Reported(step, status, headers, body, complete=came == "whole", timed_out=came == "late"))


@BOUNDED
@given(steps, statuses, headers, changed_bodies())
def test_changed_response_gets_a_code(step, status, headers, body):
    check_answer(Reported(step, status, headers, body))


@BOUNDED
@given(challenges, headers)
def test_any_challenge_gets_a_code_or_is_trusted(challenge, headers):
    check_answer(Reported(Step.CHALLENGE, 401, (("WWW-Authenticate", challenge), *headers)))


@BOUNDED
@given(odd_texts | challenges | latin_texts | waiting_times)
def test_every_parser_accepts_any_text(text):
    check_text(text)


@BOUNDED
@given(steps, statuses, st.lists(st.sampled_from([SECRET, TOKEN, " ", "=", "&", '"', "x"]), max_size=12).map("".join))
def test_sent_secret_is_in_no_text(step, status, echo):
    document = json.dumps({"error": {"code": echo, "message": echo}, "error_description": echo})
    for body in (echo, document):
        check_answer(Reported(step, status, (("x-ms-request-id", echo),), body.encode()))


LARGEST = {
    "deep": b"[" * MAX_BODY_BYTES,
    "deep_objects": b'{"key":' * (MAX_BODY_BYTES // 7),
    "wide": b"[" + b"[]," * (MAX_BODY_BYTES // 3 - 1) + b"[]]",
    "digits": b'{"key":' + b"9" * (MAX_BODY_BYTES - 8) + b"}",
    "many_numbers": b'{"key":[' + (b"9" * 4300 + b",") * (MAX_BODY_BYTES // 4301 - 1) + b"1]}",
    "fraction": b'{"key":0.' + b"1" * (MAX_BODY_BYTES - 10) + b"}",
    "modulus": json.dumps({"key": {**seeds.KEY_ANSWER["key"], "n": "A" * (MAX_BODY_BYTES - 500)}}).encode(),
    "exponent": json.dumps({"key": {**seeds.KEY_ANSWER["key"], "e": "_" * (MAX_BODY_BYTES - 1000)}}).encode(),
    "value": b'{"value":"' + b"A" * (MAX_BODY_BYTES - 12) + b'"}',
    "token": b'{"expires_in":1,"access_token":"' + b"A" * (MAX_BODY_BYTES - 34) + b'"}',
    "message": b'{"error":{"code":"Forbidden","message":"' + b"AKV1 secret= eyJ " * (MAX_BODY_BYTES // 17 - 5) + b'"}}',
    "description": b'{"error":"x","error_description":"' + b"AADSTS700 1.2.3. ::" * (MAX_BODY_BYTES // 19 - 5) + b'"}',
    "escapes": b'{"error":{"message":"' + b"\\ud800" * (MAX_BODY_BYTES // 6 - 10) + b'"}}',
    "names": b'{"error":{' + b",".join(b'"%d":0' % number for number in range(80_000)) + b"}}",
    "blanks": b" " * MAX_BODY_BYTES,
    "zeros": b"\x00" * MAX_BODY_BYTES,
}


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("body", LARGEST.values(), ids=LARGEST)
def test_largest_responses_take_little_time_and_memory(body, status):
    assert len(body) <= MAX_BODY_BYTES
    for step in (Step.TOKEN, Step.GET_KEY, Step.WRAP_KEY):
        tracemalloc.start()
        began = time.process_time()
        try:
            check_answer(Reported(step, status, (), body))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert time.process_time() - began < 10  # without tracing a hundredth of that
        assert peak < 64 * MAX_BODY_BYTES
