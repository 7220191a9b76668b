"""The stories of SQL Servers, as one table: what happens to them at which minute."""

from __future__ import annotations

from collections.abc import Callable

from exporter.simulator.environment import DaySettings
from exporter.simulator.faults import Options
from exporter.simulator.simulator import Simulator
from tests.integration.sqlservers.harness import Story

Event = Callable[[Simulator], object]
_NEVER_FILLED = 4_000_000  # KB of a VLF


def every(minutes: int, start: int, end: int) -> tuple[int, ...]:
    """Return minutes from a start to an end, both included."""
    return tuple(range(start, end + 1, minutes))


def fault(name: str, *servers: str, **options: float | str) -> Event:
    return lambda simulator: [simulator.set_fault(name, Options(**options), sql=server) for server in servers]


def recovered(name: str) -> Event:
    """End what happened to a server."""
    return lambda simulator: simulator.clear(name=name)


def day(server: str, **settings: object) -> Event:
    return lambda simulator: simulator.sql is not None and simulator.sql.change_day([server], settings)


def restart(server: str) -> Event:
    return lambda simulator: simulator.served_sql.restart(server)


def both(*events: Event) -> Event:
    return lambda simulator: [event(simulator) for event in events]


STORIES = (
    Story("healthy", read=(*every(10, 0, 120), *every(60, 180, 1440)), shown=(60, 1440), asked=("n1",)),
    Story(
        "entra",  # the secret is changed in Entra ID only
        read=every(10, 0, 420),
        shown=(50, 70, 110, 300, 400),
        events={
            60: lambda simulator: simulator.set_fault("secret_wrong", application="tde-own"),
            330: lambda simulator: simulator.clear(fault="secret_wrong"),
        },
        day=DaySettings(trace_flag=True, limit_kb=1_600_000),
        credential="tde-own",
    ),
    Story(
        "changed",  # the secret is changed in SQL Server only
        read=every(10, 0, 340),
        shown=(50, 150, 200, 330),
        events={
            60: fault("sql_secret_changed", "N1\\CHANGED", seconds=0),
            180: fault("sql_credential_altered", "N1\\CHANGED", seconds=0),
        },
    ),
    Story(
        "keyless",  # the login of the key loses its credential
        read=every(10, 0, 220),
        shown=(50, 130, 200),
        events={60: fault("sql_login_without_credential", "N1\\KEYLESS"), 150: recovered("N1\\KEYLESS")},
    ),
    Story(
        "flag",  # trace flag 15025, while backups fail
        read=every(10, 0, 320),
        shown=(150, 190, 230, 310),
        events={
            30: fault("sql_secret_old", "N1\\FLAG"),
            160: day("N1\\FLAG", trace_flag=True),
            200: day("N1\\FLAG", trace_flag=False),
            260: recovered("N1\\FLAG"),
        },
        day=DaySettings(vlf_kb=_NEVER_FILLED, limit_kb=1_100_000),
    ),
    Story(
        "group",  # a roll-over leaves out one node of three; a day later that node makes the backups
        nodes=("n1", "n2", "n3"),
        read=(*every(10, 0, 130), *every(60, 180, 360), *every(120, 420, 1500), *every(10, 1560, 1680)),
        shown=(120, 300, 360, 1500, 1620, 1680),
        events={
            60: both(fault("sql_secret_old", "N2\\GROUP"), fault("sql_credential_altered", "N1\\GROUP", "N3\\GROUP", seconds=0)),
            330: restart("N3\\GROUP"),
            1560: both(day("N1\\GROUP", backups=False), day("N2\\GROUP", backups=True)),
            1650: fault("sql_credential_altered", "N2\\GROUP", seconds=0),
        },
    ),
    Story(
        "revoked",  # REVOKE SELECT ON msdb.dbo.backupset
        read=(*every(10, 0, 120), *every(120, 180, 1500), 1510, 1620, 1740),
        shown=(60, 120, 1620, 1740),
        events={
            65: fault("sql_right_missing", "N1\\REVOKED", right="SELECT ON msdb.dbo.backupset"),
            1670: recovered("N1\\REVOKED"),
        },
    ),
    Story(
        "full",  # SQL Server has the old secret, until its log is full
        read=every(10, 0, 540),
        shown=(50, 180, 300, 460, 540),
        events={30: fault("sql_secret_old", "N1\\FULL"), 480: recovered("N1\\FULL")},
        day=DaySettings(vlf_kb=_NEVER_FILLED, limit_kb=1_400_000),
    ),
    Story(
        "added",  # a further database uses a key of no target
        read=every(10, 0, 110),
        shown=(80,),
        events={10: fault("sql_database_added", "N1\\ADDED"), 85: recovered("N1\\ADDED")},
    ),
    Story(
        "closed",  # SQL Server starts while the vault refuses the key
        read=every(10, 0, 70),
        shown=(30, 60),
        events={
            10: both(lambda simulator: simulator.apply("unwrap_forbidden", vault="contoso-closed"), restart("N1\\CLOSED")),
            45: both(recovered("contoso-closed.vault.azure.net"), restart("N1\\CLOSED")),
        },
    ),
    Story(
        "reopened",  # SQL Server starts while the vault refuses the key; then the vault is repaired, and nothing in SQL Server
        read=every(10, 0, 70),
        shown=(20, 60),
        events={
            12: both(lambda simulator: simulator.apply("unwrap_forbidden", vault="contoso-reopened"), restart("N1\\REOPENED")),
            45: recovered("contoso-reopened.vault.azure.net"),
        },
    ),
    Story(
        "leftover",  # backups fail by a fault of the vault that is repaired
        read=(*every(10, 0, 40), 48, *every(10, 60, 80)),
        shown=(40, 48, 80),
        events={
            12: lambda simulator: simulator.apply("unwrap_forbidden", vault="contoso-leftover"),
            47: recovered("contoso-leftover.vault.azure.net"),
        },
        day=DaySettings(every=1800.0),
    ),
    Story(
        "mended",  # backups fail for an hour and a half by a fault of the vault; the first one after it is late
        read=(*every(10, 0, 90), *every(5, 95, 160)),
        shown=(100,),
        events={
            12: lambda simulator: simulator.apply("unwrap_forbidden", vault="contoso-mended"),
            92: recovered("contoso-mended.vault.azure.net"),
        },
        day=DaySettings(every=1800.0),
    ),
    Story(
        "visited",  # a failover to a node with the old secret, and back
        nodes=("n1", "n2"),
        read=every(10, 0, 240),
        shown=(150,),
        events={
            12: fault("sql_secret_old", "N2\\VISITED"),
            102: both(day("N1\\VISITED", backups=False), day("N2\\VISITED", backups=True)),
            162: both(day("N1\\VISITED", backups=True), day("N2\\VISITED", backups=False)),
        },
    ),
    Story(
        "unloaded",  # a node whose DLL is not loaded: no number of the provider
        read=every(10, 0, 40),
        shown=(30,),
        events={12: both(fault("sql_library_missing", "N1\\UNLOADED"), restart("N1\\UNLOADED"))},
    ),
    Story(
        "messages",  # a node whose DLL is no longer loaded, while its databases are open
        read=every(10, 0, 220),
        shown=(80, 140, 200),
        events={85: fault("sql_library_missing", "N1\\MESSAGES"), 150: recovered("N1\\MESSAGES")},
        asked=("n1",),
    ),
    Story(
        "halved",  # both nodes have a secret that expired; the one that makes the backups is repaired
        nodes=("n1", "n2"),
        read=(*every(10, 0, 260), 300),
        shown=(80, 190, 240, 300),
        events={
            85: fault("sql_secret_old", "N1\\HALVED", "N2\\HALVED"),
            200: fault("sql_credential_altered", "N1\\HALVED", seconds=0),
            290: fault("sql_credential_altered", "N2\\HALVED", seconds=0),
        },
        asked=("n1", "n2", "AG"),
        credential="tde-half",
    ),
    Story(
        "stalled",  # the log no longer grows when its next log file needs the key
        read=every(10, 0, 240),
        shown=(150, 230),
        events={30: fault("sql_secret_old", "N1\\STALLED"), 200: recovered("N1\\STALLED")},
        day=DaySettings(vlf_kb=200_000, limit_kb=700_000),
    ),
    Story(
        "disabled",  # the EKM provider is disabled
        read=every(10, 0, 60),
        shown=(30,),
        events={10: fault("sql_provider_disabled", "N1\\DISABLED"), 45: recovered("N1\\DISABLED")},
    ),
)
FLEET = Story("fleet", nodes=tuple(f"h{number:03}" for number in range(300)), read=every(10, 0, 80), shown=(80,))
HANGING = FLEET.nodes[::10]
