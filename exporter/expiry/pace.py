"""How often the sources are asked, as a literal table and plain arithmetic.

For: the pause after a look-up, and the spread of the first ones.
Not for: clocks and waiting (see `desk`); a caller passes the random draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter.core.credential_expiry import Source
from exporter.core.timing import JITTER

SECRET_SECONDS: Final = 10.0  # how often it is seen whether a secret has changed
AT_ONCE: Final = 4  # look-ups under way
LOOK_SECONDS: Final = 30.0  # for one look-up, its token included
TOKEN_SECONDS: Final = 300.0  # within which look-ups share one token
_FIRST, _SPACING, _SPREAD = 5.0, 0.25, 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds until a source is asked again: after an answer, and after the first failure; that doubles up to the former."""

    answered: float
    failed: float


PACES: Final[Mapping[Source, Pace]] = {
    Source.CERTIFICATE: Pace(60.0, 60.0),  # a file: it costs next to nothing
    Source.GRAPH: Pace(3600.0, 300.0),
    Source.KEY_VAULT: Pace(3600.0, 300.0),
}


def pause(source: Source, failures: int, draw: float) -> float:
    """Seconds to the next look-up after so many failures in a row; `draw` is uniform in [0, 1]."""
    pace = PACES[source]
    doubled = pace.failed * 2.0 ** min(failures - 1, 16)
    return (min(doubled, pace.answered) if failures else pace.answered) * (1 - JITTER + 2 * JITTER * draw)


def first_pause(source: Source, credentials: int, draw: float) -> float:
    """Seconds from the start to the first look-up, with so many credentials to look up.

    A file is read at once. The network is asked a little later: a first probe has then told the tenant, and the probes of the
    start have made their handshakes.
    """
    if source is Source.CERTIFICATE:
        return 0.0
    return _FIRST + draw * min(_SPREAD, _SPACING * credentials)
