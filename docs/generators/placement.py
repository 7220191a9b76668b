"""The tables of docs/placement.md: settings of a module, and the requests that `check --cost` counts."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from docs.generators.configuration import field_table
from docs.generators.pages import GeneratedPart
from exporter.config import schema
from exporter.config.cost import streams
from exporter.config.load import load_config
from exporter.core.values import STEPS_WITH_KEY, Step

_TODAY: Final = date(2026, 6, 1)  # no date is in the configurations
_CONFIG: Final = """\
credentials: {{c: {{type: default}}, d: {{type: default}}}}
modules: {{default: {{mode: {mode}}}}}
targets: [{{name: a, vault: contoso, key: k/1, credential: c, {more}}}]
"""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One kind of probe: its settings, the credential of its requests, and its requests for a token."""

    what: str
    mode: str = "full"
    more: str = ""
    credential: str = "c"
    sign_ins: str = "1"
    reads_only: bool = False

    def line(self) -> str:
        auxiliary = not self.what.startswith("probe")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "ekm.yml")
            path.write_text(_CONFIG.format(mode=self.mode, more=self.more), encoding="utf-8")
            loaded = load_config(path, today=_TODAY)
        if loaded.config is None:
            raise ValueError(loaded.problems)
        [stream] = (
            one for one in streams(loaded.config, _TODAY) if (one.auxiliary, one.credential) == (auxiliary, self.credential)
        )
        made = {step: "1" for step in stream.operations if not (self.reads_only and step in STEPS_WITH_KEY)}
        cells = ({Step.TOKEN: self.sign_ins} | made).get
        how_often = "`auxiliary_interval`" if auxiliary else "`interval`"
        return f"| {self.what} | {' | '.join(cells(step, '') for step in Step)} | {how_often} |"


ROWS: Final = (
    RequestRow("probe, mode `full`"),
    RequestRow("probe, mode `full`, between two round trips", reads_only=True),
    RequestRow("probe, mode `read_only`", mode="read_only"),
    RequestRow("probe, mode `canary`", mode="canary"),
    RequestRow("newest version of a pinned key", sign_ins="shared"),
    RequestRow("`next_credential`", more="next_credential: d", credential="d"),
    RequestRow(
        "each entry of `retained_versions`",
        more="retained_versions: [{key: k/2, credential: d}]",
        credential="d",
        sign_ins="1 or shared",
    ),
    RequestRow(
        "`recovery_vault`", more="recovery_vault: contoso-dr, recovery_credential: d", credential="d", sign_ins="1 or shared"
    ),
)


def requests() -> str:
    head = f"| what | {' | '.join(f'`{step}`' for step in Step)} | how often |"
    return "\n".join([head, f"| {'--- | ' * (len(Step) + 2)}".rstrip(), *(row.line() for row in ROWS)])


def settings() -> str:
    """Return the settings of a module that decide what the exporter does in a vault."""
    names = ("mode", "round_trip_interval", "auxiliary_interval")
    return field_table([field for field in schema.MODULE if field.name in names])


PARTS: Final = (GeneratedPart("settings", settings), GeneratedPart("table of requests", requests))
