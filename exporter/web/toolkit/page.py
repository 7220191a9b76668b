"""The tables of docs/securing.md, written from those of `schema`.

For: `python -m exporter.web.toolkit.page docs/securing.md`, which a maintainer runs after changing a key.
Not for: the rest of that page.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from exporter.config.reference import table
from exporter.web.toolkit import schema

BEGIN = "<!-- keys: written by `python -m exporter.web.toolkit.page docs/securing.md` -->"
END = "<!-- end of the keys -->"
_SECTIONS = (
    ("The file", schema.TOP),
    ("`tls_server_config`", schema.TLS),
    ("`http_server_config`", schema.HTTP),
    ("`http_server_config.headers`", schema.HEADERS),
    ("`rate_limit`", schema.RATE_LIMIT),
)


def refreshed(page: str) -> str:
    """The page with its tables written anew. Raises ValueError if the page has no place for them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs a line {BEGIN} and a line {END}")
    tables = "\n\n".join(f"### {title}\n\n{table(fields)}" for title, fields in _SECTIONS)
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def main(arguments: Sequence[str]) -> None:
    """Rewrite the tables in the given pages."""
    for argument in arguments:
        path = Path(argument)
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
