"""The targets of the fuzzer: by name, the check of an input, its seeds and its words.

The tests replay recorded crashers with them.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.config.load import load_config
from exporter.config.schema import CREDENTIAL, GLOBAL, MODULE, PROXY, RETAINED, TARGET, TLS, TOP, dump_yaml
from exporter.core.values import Step
from exporter.sqlserver.calls import FUNCTIONS, read_event
from exporter.sqlserver.document import OTHER, section_problem
from tests.fuzz import encodings, seeds
from tests.fuzz.exchanges import Reported
from tests.fuzz.invariants import check_answer, check_text
from tests.support.sql_readings import an_event

# A file and a variable for fuzzed configurations. No result of `load_config` may contain their content.
MARK = "S3CRET-MARK-in-a-file"
SECRET_FILE, SECRET_VARIABLE = "secret", "EKM_FUZZ_SECRET"


@dataclass(frozen=True, slots=True)
class Target:
    """A target. `check` accepts any bytes and raises only if an invariant is broken."""

    description: str
    check: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[str, ...] = ()  # the fuzzer inserts these into inputs


def written(reported: Reported) -> bytes:
    """A response as text: a line with step, status and flags, the headers, an empty line, the body."""
    flags = "" if reported.complete else " late" if reported.timed_out else " cut"
    lines = (f"{reported.step} {reported.status}{flags}", *(f"{name}: {value}" for name, value in reported.headers), "", "")
    return "\n".join(lines).encode("latin-1") + reported.body


def read(data: bytes) -> Reported:
    """The inverse of `written`. Any bytes are a response."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    step, status, *flags = [*first.split(" "), "", ""]
    fields = [line.partition(": ") for line in lines[:64]]
    return Reported(
        step=Step(step) if step in list(Step) else tuple(Step)[len(step) % len(Step)],
        status=int(status[:3]) if status[:3].isascii() and status[:3].isdigit() else 200,
        # The decoding of aiohttp.
        headers=tuple((name or "X", value.encode("latin-1").decode("utf-8", "surrogateescape")) for name, _, value in fields),
        body=body,
        complete=not {"cut", "late"} & set(flags),
        timed_out="late" in flags,
    )


def _check_answer(data: bytes) -> None:
    check_answer(read(data))


def _answers(*, of_entra: bool) -> list[bytes]:
    responses = (*seeds.good_answers(), *seeds.refusals(), *seeds.odd_answers())
    return [written(reported) for reported in responses if (reported.step is Step.TOKEN) == of_entra]


def _check_text(data: bytes) -> None:
    check_text(data.decode("utf-8", "surrogateescape"))
    check_text(data.decode("latin-1"))


def _check_call(data: bytes) -> None:
    row = read_event(data.decode("utf-8", "surrogateescape"), {"azurekv": "AzureKV"})
    assert row is None or (section_problem("calls", [row]) is None and row["function"] in {*FUNCTIONS, OTHER})


def _check_configuration(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ[SECRET_VARIABLE] = MARK
        Path(folder, SECRET_FILE).write_text(MARK, encoding="utf-8")
        path = Path(folder, "ekm.yml")
        path.write_bytes(data)
        loaded = load_config(path)
        assert (loaded.config is None) == bool(loaded.problems)
        shown = [str(line) for line in (*loaded.problems, *loaded.warnings)]
        assert all("\n" not in line for line in shown)
        if loaded.config is not None:
            text = dump_yaml(loaded.config)
            shown += [text, repr(loaded.config)]
            path.write_text(text, encoding="utf-8")
            assert load_config(path).problems == ()
        assert not any(MARK in text for text in shown)


_TABLES = (TOP, GLOBAL, CREDENTIAL, MODULE, PROXY, TLS, TARGET, RETAINED)
_CONFIGURATION_WORDS = (
    *sorted({f"{field.name}: " for table in _TABLES for field in table}),
    *("&a ", "*a", "<<: ", "!!str ", "? ", "--- ", "|", f"client_secret_file: {SECRET_FILE}", f"secret_env: {SECRET_VARIABLE}"),
)
_TEXT_WORDS = (
    *("Bearer ", 'authorization="https://', 'resource="', "https://", "conn_type=", "addr=", ";", "::ffff:", "%", "GMT", "-0000"),
    *("Mon, ", " Jan ", "client_secret", "eyJ", "\u202e", "\u2028", "1y", "ms", ".vault.azure.net", ":443", "xn--"),
)
_ANSWER_WORDS = (
    *("access_token", "expires_in", "expires_on", "refresh_in", "token_type", "error", "error_codes", "error_description"),
    *("code", "message", "innererror", "innerError", "AADSTS7000222", "AKV10022", "trace_id", "Retry-After", "WWW-Authenticate"),
    *(
        "kid",
        "kty",
        "RSA",
        "key_ops",
        "attributes",
        "enabled",
        "nbf",
        "exp",
        "value",
        "null",
        "true",
        "1e999",
        "NaN",
        "-Infinity",
    ),
    *("\\ud800", "\\u0000", "authorization", "resource", "https://vault.azure.net", "https://login.windows.net/"),
)
TARGETS: Mapping[str, Target] = {
    "vault": Target(
        "an answer to the challenge, get, wrap or unwrap step",
        _check_answer, lambda: _answers(of_entra=False), _ANSWER_WORDS,
    ),
    "entra": Target(
        "an answer to the token step, through the SDK's reader too",
        _check_answer, lambda: _answers(of_entra=True), _ANSWER_WORDS,
    ),
    "texts": Target(
        "challenges, dates, host names, durations, and texts to be masked",
        _check_text, lambda: [text.encode() for text in seeds.TEXTS], _TEXT_WORDS,
    ),
    "configuration": Target("a configuration file", _check_configuration, seeds.configurations, _CONFIGURATION_WORDS),
    "calls": Target(
        "an event of SQL Server about a call to its provider, as XML",
        _check_call, lambda: [an_event("19:00:01", function=function).encode() for function in sorted(FUNCTIONS)],
        ("<!DOCTYPE x [", "<!ENTITY", "<![CDATA[", "]]>", "&#0;", "<value>", "</value>", "cred_prov_result", "4294967296"),
    ),
    "protobuf": Target("labels and numbers of a scrape in protobuf", encodings.check_encoding, encodings.seeds, ("\0", "\n", "\\", "é", "€")),
}  # fmt: skip
