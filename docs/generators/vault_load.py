"""The table in docs/sizing.md of the requests of the exporter and of SQL Server.

Those of the exporter follow from configurations with defaults. Those of SQL Server are operations that are known to need the vault, with an
estimate of the requests of each.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from docs.generators.pages import GeneratedPart, table
from exporter.config.cost import MONTH_SECONDS, monthly, streams, vault_shares
from exporter.config.load import load_config
from exporter.core.limits import WINDOW_SECONDS
from exporter.core.values import OPERATIONS, Step, operation_limit

HOUR: Final = 3600.0
DATABASES: Final = 10  # of the SQL Server in the table
_TODAY: Final = date(2026, 6, 1)  # no date is in the configurations
_VAULT: Final = "contoso.vault.azure.net"
_CONFIG: Final = """\
credentials: {{c: {{type: default}}, d: {{type: default}}}}
modules: {{default: {{{module}}}}}
targets: [{{name: a, vault: contoso, key: {key}, credential: c, {more}}}]
"""
# The most that SQL Server sends to the vault for an operation, the use of the key last. A new version needs both uses.
_OPENED: Final = (Step.CHALLENGE, Step.GET_KEY, Step.UNWRAP_KEY)
_ROTATED: Final = (*_OPENED, Step.WRAP_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Numbers an hour, and the share of the vault's limit."""

    requests: float
    sign_ins: float
    share: float

    def cells(self) -> tuple[str, str, str]:
        return f"{self.requests:.3g}", f"{self.sign_ins:.3g}", f"{self.share:.2%}".replace("%", " %")

    def less(self, other: Load) -> Load:
        return Load(
            requests=self.requests - other.requests, sign_ins=self.sign_ins - other.sign_ins, share=self.share - other.share
        )


def load(*, module: str = "", more: str = "", key: str = "k/1") -> Load:
    """Return the load of a configuration with one target."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ekm.yml")
        path.write_text(_CONFIG.format(module=module, more=more, key=key), encoding="utf-8")
        loaded = load_config(path, today=_TODAY)
    if loaded.config is None:
        raise ValueError(loaded.problems)
    config = loaded.config
    return Load(
        requests=HOUR * sum(rate for stream in streams(config, _TODAY) for _, rate in stream.rates()),
        sign_ins=HOUR / MONTH_SECONDS * sum(sums.sign_ins for sums in monthly(config, _TODAY).values()),
        share=sum(share.ratio for share in vault_shares(config, _TODAY).values()),
    )


def of_exporter() -> list[tuple[str, ...]]:
    """Return the rows of a target: its probe, what settings change, and what each auxiliary probe adds."""
    pinned, bare = load(), load(key="k")
    rows: list[tuple[str, ...]] = [
        ("a target's probe every 60 s", *bare.cells()),
        ("a target's probe with `round_trip_interval: 5m`", *load(key="k", module="round_trip_interval: 5m").cells()),
        ("a target's probe with `token_max_age: 30m`", *load(key="k", module="token_max_age: 30m").cells()),
        ("more for the newest version of a pinned key", *pinned.less(bare).cells()),
    ]
    auxiliary = {
        "`next_credential`": "next_credential: d",
        "each of `retained_versions`": "retained_versions: [{key: k/2, credential: c}]",
        "`recovery_vault`, in that vault": "recovery_vault: contoso-dr, recovery_credential: c",
    }
    rows += [(f"more for {what}", *load(more=more).less(pinned).cells()) for what, more in auxiliary.items()]
    return rows


def of_sql_server() -> list[tuple[str, ...]]:
    """Return the rows of a SQL Server. Each operation only uses the key, or also sends a challenge and reads the key."""
    each = f"of {DATABASES} databases"
    rows = (
        (f"log backups {each}, every 15 min", _OPENED, 4.0 * DATABASES, HOUR),
        (f"a new virtual log file (VLF) in each {each}, every 10 min", _OPENED, 6.0 * DATABASES, HOUR),
        (f"a start of the service {each}, at once", _OPENED, float(DATABASES), WINDOW_SECONDS),
        (f"a new key version {each}, at once", _ROTATED, float(DATABASES), WINDOW_SECONDS),
    )
    weights = {step: 1 / operation_limit(step, _VAULT) for step in OPERATIONS}
    found: list[tuple[str, ...]] = []
    for what, steps, operations, seconds in rows:
        least, most = weights[steps[-1]], sum(weights[step] for step in steps)
        requests = f"{operations:.2g} to {len(steps) * operations:.3g}"
        shares = [f"{100 * operations * weight * WINDOW_SECONDS / seconds:.2f}" for weight in (least, most)]
        found.append((what, requests, f"0 to {operations:.2g}", f"{' to '.join(dict.fromkeys(shares))} %"))
    return found


def vault_load() -> str:
    head = ("load", "requests to the vault an hour, or at once", "sign-ins", "share of the vault's limit")
    blank = ("",) * 3
    rows = [("**the exporter, calculated**", *blank), *of_exporter(), ("**SQL Server, estimated**", *blank), *of_sql_server()]
    return table(head, rows)


PARTS: Final = (GeneratedPart("load on a vault", vault_load),)
