"""Which codes of the error log are known."""

from exporter.sqlserver.document import completed, document_from, known_codes

EARLY, LATE = "2026-11-24T10:00:00", "2026-11-24T12:00:00"


def row(code, lines=1, first=EARLY, last=LATE):
    return {"code": code, "lines": lines, "first_utc": first, "last_utc": last}


def test_known_codes_keep_their_rows():
    rows = (row("3303"), row("3041", 7), row("18204", 2))
    assert known_codes(rows) == ({"code": "other", "lines": 0}, *rows)


def test_unknown_codes_are_one_row():
    rows = (row("", 2, first="2026-11-24T11:00:00"), row("33030", 3, last="2026-11-24T11:00:00"), {"lines": 1}, row("\uff13"))
    assert known_codes(rows) == (row("other", 7),)


def test_document_keeps_the_known_codes():
    content = {"inventory": 1, "sections": [{"section": "errors", "rows": [row("3303", 4), row("x")]}]}
    document = document_from(content)
    assert document.sections["errors"] == (row("other"), row("3303", 4))
    assert completed(document).sections == document.sections
