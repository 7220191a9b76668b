"""The exporter itself: its files, its deadline and its errors."""

from __future__ import annotations

from functools import partial

from exporter.core.causes import Link
from exporter.core.codes.action_texts import REPEAT
from exporter.core.model import Step
from exporter.core.reasons.row import ReasonRow, Reply, ShownBy

_exporter = partial(ReasonRow, reply=Reply.NOT_TESTED, link=Link.HOST)
_secret = partial(_exporter, shown_by=ShownBy("secret", (Step.TOKEN,)))

EXPORTER: tuple[ReasonRow, ...] = (
    _exporter("scrape_timeout", "the scrape timeout ended the probe").advising(
        "Increase `scrape_timeout` of the Prometheus job above the timeout of the target.", REPEAT
    ),
    _secret("secret_unreadable", "the exporter cannot read its own secret file", is_open=True).advising(
        "Check that the secret file exists and has one line: `SECRET_FILE`.",
        "Show its permissions: `icacls SECRET_FILE`, on Linux `ls -l SECRET_FILE`. The exporter's service account needs read permission.",
        REPEAT,
    ),
    _secret("secret_timeout", "the exporter could not read its own secret file in time").advising(
        "Check the disk or share with the secret file: reading it took longer than the timeout of the target.", REPEAT
    ),
    _exporter("internal", "the exporter itself failed").advising(
        "Report the error with the exporter's log and the support bundle: `ekm-exporter bundle TARGET`.",
        "The exporter failed. Check SQL Server's own access with its error log.",
    ),
)
