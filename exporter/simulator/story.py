"""The demo: the vaults of a small company and their failures in the first minutes.

Both the configuration and the story are literal. The exporter has no code for them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exporter.simulator.faults import Options
from exporter.simulator.simulator import Simulator
from exporter.simulator.state import ActiveFault

CONFIG = """\
global: {interval: 7s, vantage: central, connector_generation: classic}

credentials:
  sql-prod: {type: client_secret, tenant_id: 5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40, client_id: 2b8e4d70-6c1f-4a95-8d23-9f0e5b7a1c64, client_secret_file: secrets/sql-prod, expires_on: IN_200_DAYS}
  sql-payroll: {type: client_secret, tenant_id: 5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40, client_id: 9d3c6a15-7e2b-4f80-b41a-0c8f6e5d2a97, client_secret_file: secrets/sql-payroll, expires_on: YESTERDAY}
  sql-as-typed: {type: connector_secret, secret_file: secrets/sql-as-typed, expires_on: IN_20_DAYS}

target_defaults: {credential: sql-prod, labels: {env: prod, team: dba}}

targets:
  - name: sales-orders
    vault: contoso-sales
    key: SalesTdeKey/4f1c8e2a9b7d4036a5e1c7f20b9d8346
    instances: [{sql_instance: SQLSALES, host: sql-a1, ag: AG-SALES}, {sql_instance: SQLSALES, host: sql-a2, ag: AG-SALES}]
  - name: hr-people
    vault: contoso-hr
    key: HrTdeKey/0a9e7d5c3b1f4862904e6d8c2a7f5b13
    instances: [{sql_instance: SQLHR, host: sql-b1}]
  - name: finance-ledger
    vault: contoso-finance.managedhsm.azure.net
    key: LedgerTdeKey/7c5a3f1e9d8b4620813e5c7a9f0d2b46
    instances: [{sql_instance: SQLFIN, host: sql-c1, ag: AG-FIN}, {sql_instance: SQLFIN, host: sql-c2, ag: AG-FIN}]
  - name: warehouse-stock
    vault: contoso-warehouse
    key: StockTdeKey/1e3d5f7a9c0b4284963f8a1c5e7d0b29
    instances: [{sql_instance: SQLDWH, host: sql-d1}]
  - name: billing-invoices
    vault: contoso-billing
    key: BillingTdeKey/9b8d7f6e5c4a4312a0f1e3d5c7b9a820
    instances: [{sql_instance: SQLBILL, host: sql-e1, ag: AG-BILL}, {sql_instance: SQLBILL, host: sql-e2, ag: AG-BILL}]
  - name: payroll-runs
    vault: contoso-payroll
    key: PayrollTdeKey/6d4f2b0a8c9e4751b3d5f7e9a1c08264
    credential: sql-payroll
    instances: [{sql_instance: SQLPAY, host: sql-f1}]
  - name: archive-2019
    vault: contoso-archive
    key: ArchiveTdeKey/3a5c7e9f1b0d4826a4c6e8f0b2d47193
    instances: [{sql_instance: SQLARCH, host: sql-g1}]
  - name: reporting-cubes
    vault: contoso-reporting
    key: ReportTdeKey/8f6e4d2c0b9a4173958d7c6b5a4f3e21
    instances: [{sql_instance: SQLREP, host: sql-h1}]
  - name: crm-contacts
    vault: contoso-crm
    key: CrmTdeKey/5b7d9f1e3a0c4648b2d4f6a8c0e19375
    credential: sql-as-typed
    instances: [{sql_instance: SQLCRM, host: sql-i1}]
  - name: webshop-carts
    vault: contoso-webshop
    key: WebshopTdeKey/2c4e6a8f0d1b4937a5c7e9f1b3d50682
    connector_generation: current
    instances: [{sql_instance: SQLWEB, host: sql-j1, ag: AG-WEB}]
  - name: claims-cases
    vault: contoso-claims
    key: ClaimsTdeKey/0f2d4b6c8e9a4150837e5d3c1b9f7a64
    instances: [{sql_instance: SQLCLAIMS, host: sql-k1}]
"""

_DAYS = {"IN_200_DAYS": 200, "IN_20_DAYS": 20, "YESTERDAY": -1}  # days from today for the dates in CONFIG
_CONNECTOR_CLIENT = "c7a1f0e8d29b4c56a3e47d8b1f60925e"  # in the form of CREATE CREDENTIAL: without hyphens


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryEvent:
    """A scenario, or a fault without a failed probe, at a time of the demo.

    `at` and `lasts` are in seconds, `at` from the start. An event at 0 without an end is active before the first request.
    With `every`, the event starts again that many seconds after its last start.
    """

    vault: str
    scenario: str | None = None
    fault: str | None = None
    options: Options | None = None
    at: float = 0.0
    lasts: float | None = None
    every: float | None = None
    state: str = ""  # what the vault shows with it, for docs/simulator.md; empty: the next event has it

    @property
    def is_lasting(self) -> bool:
        """Whether it is active from the start, without an end."""
        return self.at == 0 and self.lasts is None

    def cause(self, simulator: Simulator) -> tuple[ActiveFault, ...]:
        if self.scenario is not None:
            return simulator.apply(self.scenario, vault=self.vault)
        return (simulator.set_fault(self.fault or "", self.options, vault=self.vault),)


STORY: tuple[StoryEvent, ...] = (
    StoryEvent(vault="contoso-hr", fault="key_size", options=Options(bits=3072)),
    StoryEvent(
        vault="contoso-hr", fault="key_rotated", state="healthy: a key of 3072 bits, with a newer version than the pinned one"
    ),
    StoryEvent(vault="contoso-payroll", scenario="secret_expired", state="3303: the secret has expired"),
    StoryEvent(vault="contoso-archive", scenario="vault_deleted", state="3900: the vault's name is gone"),
    StoryEvent(vault="contoso-reporting", fault="slow", options=Options(seconds=0.4), state="healthy, but slow"),
    StoryEvent(vault="contoso-crm", scenario="key_disabled", state="3077: the key version is disabled"),
    StoryEvent(
        vault="contoso-webshop", scenario="firewall", state="3113: the firewall; its connector is of the current generation"
    ),
    StoryEvent(
        vault="contoso-claims",
        scenario="key_expired",
        state="3077 only at the wrap: the key has expired, databases would still open",
    ),
    StoryEvent(
        vault="contoso-warehouse",
        scenario="throttled_retry_after",
        at=8,
        lasts=20,
        every=45,
        state="3011 for 20 of every 45 seconds: throttled in waves",
    ),
    StoryEvent(
        vault="contoso-billing",
        scenario="unwrap_forbidden",
        at=20,
        state="healthy for 20 seconds, then 3077: no longer allowed to unwrap",
    ),
)


def write_demo(folder: Path) -> Path:
    """Write the demo's configuration and random secrets; return the former's path."""
    secret_files = folder / "secrets"
    secret_files.mkdir(mode=0o700)
    for name, before in (("sql-prod", ""), ("sql-payroll", ""), ("sql-as-typed", _CONNECTOR_CLIENT)):
        path = secret_files / name
        path.touch(mode=0o600)
        path.write_text(f"{before}demo-{secrets.token_urlsafe(24)}\n", encoding="utf-8")
    config = folder / "demo.yml"
    text, today = CONFIG, datetime.now(UTC).date()
    for name, days in _DAYS.items():
        text = text.replace(name, str(today + timedelta(days=days)))
    config.write_text(text, encoding="utf-8")
    return config


def begin(simulator: Simulator) -> None:
    """Cause the events that are active from the start. Call it before the configuration is written."""
    for event in STORY:
        if event.is_lasting:
            event.cause(simulator)


async def play(simulator: Simulator, story: Iterable[StoryEvent] = STORY) -> None:
    """Cause the other events of the story, until it ends or is cancelled."""
    async with asyncio.TaskGroup() as group:
        for event in story:
            if not event.is_lasting:
                group.create_task(_happen(simulator, event))


async def _happen(simulator: Simulator, event: StoryEvent) -> None:
    """Cause one event at its time, clear it, and repeat it if it has `every`."""
    await asyncio.sleep(event.at)
    while True:
        active = event.cause(simulator)
        if event.lasts is None:
            return
        await asyncio.sleep(event.lasts)
        for one in active:
            simulator.clear(number=one.number)
        if event.every is None:
            return
        await asyncio.sleep(event.every - event.lasts)
