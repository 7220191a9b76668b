"""The reasons for which the gate does not answer `ready`, each with its first action; and the states that exporters report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from exporter.core.quoting import word
from exporter.core.secrets import hide
from exporter.core.values import CredentialKind, Step, Vantage
from exporter.knowledge.code_row import STOP_WRITERS
from exporter.knowledge.verdict import WHY
from exporter.sqlserver.instance import EKM_OPTION, ENABLE_OPTION, printable
from exporter.sqlserver.reading import SqlServerReading

_MODES = ("canary", "read_only")  # never ready; another target may test the key
_UNTESTED_CAUSES = (*_MODES, "version_not_pinned", "identity_of_another_host")  # by configuration


# The rows of the evidence, and the reasons as the field `condition` of the JSON has them.
Evidence = Literal[
    "vault", "read", "clock", "inside", "open", "room", "used", "secret", "unfailed", "log", "recent", "nodes", "requests",
    "exporters",
]  # fmt: skip
Condition = Literal[
    "not_ready", "staged_only", "backups_fail", "log_fills", "was_not_ready", "credential_expires", "restart_throttles",
    "instance_throttles", "provider_disabled", "ekm_disabled", "credential_missing", "key_not_on_replica",
    "identity_unsupported", "no_verdict", "short_history", "expiry_unknown", "key_size_unknown", "unwrap_old",
    "credential_not_proven", "credential_left_behind", "secret_ended", "database_closed", "log_not_read", "not_read_itself",
    "node_not_proven", "server_clock", "backups_fail_unexplained", "proof_old", "reading_old", "exporters_disagree",
    "key_without_target", "other_target_fails", "server_not_listed", "server_contested", "inventory_missing",
    "inventory_unusable", "instance_not_read", "inventory_old", "inventory_gap", "credential_guessed", "section_kept",
    "instance_kept", "columns_not_proven", "column_key_without_target", "exporter_unreachable", "exporter_refuses", "exporter_foreign", "exporter_old", "clocks_differ",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class GateReason:
    """One reason against `ready`, with its first action; `known` is false if something is only not known.

    `server` is the node whose evidence is missing, empty if it is of no single one.
    """

    condition: Condition
    text: str
    fix: str
    known: bool
    server: str = ""

    @property
    def evidence(self) -> Evidence:
        """The row of the evidence that it is about."""
        return CONDITIONS[self.condition].evidence


class Moment(float):
    """A Unix time; in JSON a text."""


class Shown(str):
    """A text of others, with characters that a line of a report may have."""

    __slots__ = ()


class TargetState(
    msgspec.Struct, frozen=True, kw_only=True, rename={"name": "target", "key_name": "key", "ready": "vault_side_ready"}
):
    """One target as the exporter at `url` reports it at `at`, under the names of its JSON; unknown is None."""

    url: str
    vantage: Vantage
    at: float
    name: Shown
    vault: Shown
    key_name: Shown
    key_version: Shown | None
    ready: bool | None
    success: bool | None
    why: Shown
    # Of the first step that failed; None without a failure.
    step: Any = None
    code: Any = None
    symbol: Any = None
    reason: Any = None
    ready_since: Moment | None
    last_not_ready: Moment | None
    last_success: Moment | None
    last_unwrap: Moment | None
    key_type: Shown | None
    key_size_bits: int | None
    credential: Shown
    credential_type: CredentialKind
    client_id: Shown | None  # of the credential; None if the configuration does not have it
    credential_expires_at: Moment | None
    next_credential_usable: bool | None  # None without a staged one
    instances: tuple[dict[str, Shown], ...]

    @property
    def uri_of_key(self) -> str:
        return f"https://{self.vault}/keys/{self.key_name}"

    @property
    def uri(self) -> str:
        return self.uri_of_key if self.key_version is None else f"{self.uri_of_key}/{self.key_version}"

    @property
    def failure(self) -> str:
        """The failure in words."""
        parts = [str(each) for each in (self.code, self.symbol) if isinstance(each, str | int)]
        parts += [f"at {self.step}"] if isinstance(self.step, str) else []
        return " ".join([*parts, *([f"({self.reason})"] if isinstance(self.reason, str) else [])]) or WHY["not_ready"]

    @property
    def is_doubtful(self) -> bool:
        """Whether it fails, or has no verdict for another reason than its configuration."""
        return not self.ready and (self.ready is False or not self.success or self.why not in _UNTESTED_CAUSES)

    @property
    def fails(self) -> bool:
        """Whether it is not ready; without a verdict by its configuration, whether a step other than wrap_key failed."""
        return self.ready is False or (self.why in _UNTESTED_CAUSES and self.step not in (None, Step.WRAP_KEY))

    @property
    def answers(self) -> bool:
        """Whether the vault answers it: it is ready, or has no verdict by its configuration and does not fail."""
        return self.ready is True or (self.why in _UNTESTED_CAUSES and not self.fails)

    @property
    def answers_nothing(self) -> bool:
        """Whether its mode gives no verdict, and it does not fail."""
        return self.why in _MODES and not self.is_doubtful


@dataclass(frozen=True, slots=True)
class ExporterState:
    """All targets of an exporter as reported at `at`, a Unix time, and the SQL Servers that it reads.

    `host` is the name of its computer in lower case, if that is a SQL Server's. `unread` is why the readings are not known.
    """

    at: float
    vantage: Vantage
    targets: tuple[TargetState, ...]
    url: str
    host: str | None = None
    readings: tuple[SqlServerReading, ...] = ()
    unread: GateReason | None = None


_WORDS = frozenset(["code", "file", "folder", "target", "url"])  # values that are a word of a command in a fix
UNKNOWN_FILE = "FILE"  # the configuration in a command of a fix: only its exporter knows the path
LONGEST_VALUE = 1000  # characters of a name or a finding in a text: a statement with three names fits


@dataclass(frozen=True, slots=True)
class ConditionText:
    """Text and first action with named fields. `known` is False if the reason is that something is not known. `evidence` is the row that is missing then."""

    known: bool
    evidence: Evidence
    text: str
    fix: str
    meaning: str = ""  # of the condition, for the documentation, if the text is not clear without its values


READ_AGAIN = (
    "Read the SQL Servers again. An exporter does it every five minutes (ekm-exporter docs sql-servers); without one (ekm-exporter docs inventory): "
    "ekm-exporter inventory --from inventory --out {folder} --config.file {file}"
)

CONDITIONS: Mapping[Condition, ConditionText] = {
    "not_ready": ConditionText(True, "vault",
        "target {target}{where} is not ready: {failure}; needed by {servers}. {logs}",
        "ekm-exporter probe {target} --config.file {file}, then follow its lines under do"),
    "staged_only": ConditionText(True, "vault",
        "target {target}{where} is ready only with its staged credential. The current one, {credential}, is not: {failure}; "
        "needed by {servers}. {logs}",
        "{action} the staged credential in the configuration (ekm-exporter docs rollover#4-promote-it-in-the-exporter), and reload the exporter"),
    "backups_fail": ConditionText(True, "unfailed",
        "{server}: SQL Server's error log shows {codes} since {since}{failed}{although}, so its databases stay closed at a restart or failover. {logs}",
        "Do not restart {server} or fail over to it. ekm-exporter explain {code} has the repair. "
        "A backup of its databases that proves the key ends this",
        "SQL Server's error log shows a number of the provider, known or not, or a message such as 33027 or 33111, since the key's last use on this node. "
        "It does not name the key. **With a ready target, only "
        "SQL Server has the fault: this is the restart that must not happen**"),
    "database_closed": ConditionText(True, "open",
        "{server}: {databases} did not open ({states}), so what keeps them closed may keep others closed too",
        "Find the cause before the restart: ekm-exporter docs recovery-pending"),
    "log_fills": ConditionText(True, "room",
        "{server}: the log of [{database}] is {when} at the present rate, and {since}",
        f"{STOP_WRITERS}, then follow ekm-exporter docs what-needs-the-vault#if-the-log-fills-up. A restart truncates no log",
        "backups fail or a target is not ready, and a log is full within four hours. Its last log backup is from before the last code; "
        "without a code, half an hour old"),
    "was_not_ready": ConditionText(True, "vault",
        "target {target}{where} is ready, but was not at {at}, less than {ready_for} ago; needed by {servers}",
        "Find the cause in the target's history (page /targets/{target}), and wait until the target was ready for {ready_for}"),
    "credential_expires": ConditionText(True, "vault",
        "credential {credential} of target {target}{where} {expires} {at}, the limit is {window} from now; needed by {servers}",
        "Roll the secret over before the restart: ekm-exporter docs rollover",
        "the credential of a target expires within `--window`"),
    "restart_throttles": ConditionText(True, "requests",
        "vault {vault}: these restarts unwrap {unwraps} keys of databases at the same time, {share} of the request limit in 10 seconds",
        "Restart the instances one after another, at least 10 seconds apart. The largest alone uses {largest}"),
    "instance_throttles": ConditionText(True, "requests",
        "vault {vault}: the restart of {server} alone unwraps {unwraps} keys of databases, {share} of the request limit in 10 seconds",
        "Move databases to a key in another vault, or to a key of 2048 bits (ekm-exporter docs key-rotation), before this instance restarts"),
    "provider_disabled": ConditionText(True, "inside",
        "provider {provider} of {server} is disabled, so {databases} would not open",
        "Run on {server}: ALTER CRYPTOGRAPHIC PROVIDER {provider} ENABLE; then read the instance again: ekm-exporter docs inventory"),
    "ekm_disabled": ConditionText(True, "inside",
        "{server}: the option '" + EKM_OPTION + "' is {state}. Without it, SQL Server uses no EKM provider, and {databases} would not open",
        "Run on {server}: " + ENABLE_OPTION + " then read the instance again: ekm-exporter docs inventory"),
    "credential_missing": ConditionText(
        True, "inside", "{servers}: {gap}", "Run the statement on {servers}. " + READ_AGAIN,
        "the login of a key has no credential, so SQL Server cannot sign in to the vault"),
    "key_not_on_replica": ConditionText(True, "inside",
        "{server} has no asymmetric key with the thumbprint {thumbprint}, that of {holder}. After a failover, {databases} would not open there",
        "Run on {server}: {statement}; then read the instance again: ekm-exporter docs inventory"),
    "identity_unsupported": ConditionText(
        True, "inside", "{servers}: {gap}", "Do not restart {servers} before: ekm-exporter docs managed-identity. " + READ_AGAIN,
        "a managed identity on a SQL Server or a connector that does not support it"),
    "no_verdict": ConditionText(False, "vault",
        "target {target}{where} has no verdict: {why}; needed by {servers}",
        "ekm-exporter probe {target} --config.file {file} shows the state now; the cause of a missing verdict is on the target's page",
        "a target has no verdict: stale, not probed yet, no pinned version"),
    "short_history": ConditionText(False, "vault",
        "target {target}{where} is ready since {since}, and its state before is not known; {ready_for} are needed; needed by {servers}",
        "Wait until the target was ready for {ready_for}. A restart of the exporter, or a change of the target, starts the count again"),
    "expiry_unknown": ConditionText(False, "vault",
        "the expiry of credential {credential} of target {target}{where} is not known; needed by {servers}",
        "Declare expires_on or graph_credential for it: ekm-exporter docs expiry"),
    "key_size_unknown": ConditionText(False, "requests",
        "the request limit of target {target} in {vault} is not known, because kind and size of its key are not known or have no limit",
        "ekm-exporter probe {target} --config.file {file} shows why the key cannot be read"),
    "unwrap_old": ConditionText(False, "vault",
        "target {target}{where} last unwrapped {since}, longer ago than {limit}: a lost permission unwrapKey may not show yet; needed by {servers}",
        "Set round_trip_interval of its module to less than {limit}, reload the exporter, and wait for the next probe. "
        "A test now: ekm-exporter probe {target} --config.file {file}"),
    "credential_not_proven": ConditionText(False, "used",
        "{server}: {cause}, so whether SQL Server itself gets the key is not known",
        "A backup of {database} that begins {when} settles it. On request, on {server} and with @run set to 1: ekm-exporter script prove.sql "
        "(ekm-exporter docs what-needs-the-vault): it backs up {database} to NUL, which needs the vault. Two hours after a change no older token is left: an assumption",
        "SQL Server itself has not used the key on this node, or not since something that the key rests on changed"),
    "columns_not_proven": ConditionText(False, "used",
        "{server}: no database needs a key of its EKM provider, but columns may, and {cause}, so whether SQL Server itself gets it is not known",
        "Record its calls: ekm-exporter script trace-ekm.sql (ekm-exporter docs sql-servers#column-encryption-alone). "
        "If a person knows that no column needs a key: --accept used@{server}",
        "no database needs a key, and no recorded call shows that SQL Server gets the one that columns may need"),
    "column_key_without_target": ConditionText(False, "vault",
        "no target probes {key}, which columns of {servers} may need",
        "Write a target for {key} that lists {servers} into {file}: ekm-exporter docs production#read-what-sql-server-uses"),
    "credential_left_behind": ConditionText(False, "secret",
        "{server}: {cause}, and key [{key}] was not used on {server} since with a new token, so it may hold a secret that is gone",
        "Write the present secret into its credential: ekm-exporter script alter-credential.sql. If it has it already, run there two hours later, with @run set to 1: "
        "ekm-exporter script prove.sql, for {database}",
        "the secret of the same client was altered or refused on another SQL Server, or that is not known of late, or a known secret ended, and this node "
        "has not used the key since: "
        "a roll-over or a repair may be half done"),
    "secret_ended": ConditionText(True, "secret",
        "{server}: every known secret of credential [{credential}] has ended, the last one at {at}, and it was not altered since",
        "Write the present secret into its credential: ekm-exporter script alter-credential.sql, on {server}"),
    "backups_fail_unexplained": ConditionText(False, "unfailed",
        "{server}: a backup of a database under the key failed (3041) since {since} without a number that names a cause, and none proved the key since, so whether SQL Server gets it now is not known. {logs}",
        "Read why on {server}: EXEC sys.sp_readerrorlog 0, 1, N'BACKUP'. A backup of its databases ends this",
        "message 3041 of a database under the key, or of one that the line does not name, since the key's last use"),
    "log_not_read": ConditionText(False, "log",
        "{server}: whether something failed since the key's last use is not known: of the error log, {cause}",
        "Run part 4 of login.sql on {server} (ekm-exporter script login.sql), and wait for the next reading. Without the right, a backup within its rhythm counts",
        "the error log was not read from the key's last use on, through its archives"),
    "not_read_itself": ConditionText(False, "read",
        "no exporter reads {server}, so whether it itself used key [{key}] is not known",
        "List {server} in sql_servers of an exporter (ekm-exporter docs sql-servers). The narrower question, whether the vault gives the keys: --vault-side"),
    "node_not_proven": ConditionText(False, "nodes",
        "{server} may move to {node}, where it did not start within 35 days, so whether {node} has DLL, registry and network is not known",
        "Fail over to {node} in a maintenance window, or run an exporter with vantage sql_host there. If a person vouches for it: --accept nodes@{node}",
        "a node of a failover cluster instance without a start of it that opened a database, within 35 days, and without a ready `sql_host` target"),
    "server_clock": ConditionText(False, "clock",
        "{server}: its clock {difference}, so the times that it shows prove nothing",
        "Correct the clocks of {server} and of the exporter's host: w32tm /query /status"),
    "proof_old": ConditionText(False, "recent",
        "{server}: SQL Server itself proved key [{key}] last {proof}, longer ago than {limit}",
        "Back up a database under the key, or run on {server}, with @run set to 1: ekm-exporter script prove.sql. For columns alone, open their symmetric key",
        "the last use is older than `--proof-age`, or backups stopped: the last is older than 1.5 times the second-longest gap between them"),
    "reading_old": ConditionText(False, "read",
        "{server}: {sections} were read {age}, longer ago than {limit}, so what it shows now is not known{cause}",
        "Remove the cause, and wait for the exporter's next reading (ekm-exporter docs sql-servers). With a longer sql_interval: --reading-age",
        "a section that the evidence rests on was read before `--reading-age`, or not at all"),
    "exporters_disagree": ConditionText(False, "exporters",
        "exporters disagree on {key} for {servers}: {own}, which counts; {other}",
        "Find out what differs between the two hosts: secret, configuration, firewall, proxy. On each: ekm-exporter probe TARGET --config.file FILE",
        "an exporter elsewhere reports the key not ready, although the answering one reports it ready"),
    "key_without_target": ConditionText(False, "vault",
        "no target probes {key}, which protects {databases} of {servers}",
        "ekm-exporter inventory --from inventory --out {folder} --config.file {file} writes the target; then reload the exporter"),
    "other_target_fails": ConditionText(False, "vault",
        "target {target}{where} names {servers}, and its verdict is not ready or missing: {failure}. "
        "The inventory, read {age}, shows no database under its key, "
        "but one may have moved since",
        READ_AGAIN + ". If no database uses the key, remove the server from instances of the target"),
    "server_not_listed": ConditionText(False, "vault",
        "{target} probes {key}, but does not list {servers}, whose credential may be another one",
        "Add the server to instances of the target whose credential it uses, then reload the exporter"),
    "server_contested": ConditionText(
        False, "read",
        "{addresses} {all} answer as {name}, so which of them is that SQL Server is not known",
        "Ask it under its own host name in sql_servers, and remove the address of any other server",
        "several addresses answer with one name, one of them does not prove it, and nothing shows that they are one SQL Server",
    ),
    "inventory_missing": ConditionText(
        False, "read", "{path} is missing, so the databases and keys of each instance are not known", READ_AGAIN,
        "the file is missing, which matters only if a server is in no reading"),
    "inventory_unusable": ConditionText(
        False, "read", "the inventory cannot be used: {cause}", "Restore the file from a backup, or remove it. " + READ_AGAIN),
    "instance_not_read": ConditionText(False, "read", "the inventory does not have {name}", READ_AGAIN),
    "inventory_old": ConditionText(
        False, "read", "the inventory of {servers} was read {age}, longer ago than {limit}, so databases may have moved", READ_AGAIN,
        "a reading of an exporter, or a section of it, is older than `--reading-age`; what the inventory's file has is older than `--inventory-age`"),
    "inventory_gap": ConditionText(
        False, "read", "{servers}: {gap}", "Close the gap. " + READ_AGAIN, "an instance or a replica is not known well enough"),
    "credential_guessed": ConditionText(
        False, "inside", "{servers}: {gap}", "Map each key's login to its credential, or drop the logins that no key needs. " + READ_AGAIN,
        "it is not known which credential the login of a key has"),
    "section_kept": ConditionText(
        False, "read", "{servers}: {gap}", "Remove the cause: a missing right (`ekm-exporter script login.sql`) or a time-out. " + READ_AGAIN,
        "in the inventory's file, a section is of an earlier run"),
    "instance_kept": ConditionText(
        False, "read", "{servers}: {gap}", "Remove the cause that the message names. " + READ_AGAIN, "in the inventory's file, the instance is of an earlier run"),
    "exporter_unreachable": ConditionText(
        False, "exporters", "the exporter at {url} does not respond: {cause}", "Start it, or correct --url: curl {url}/-/ready"),
    "exporter_refuses": ConditionText(False, "exporters",
        "the exporter at {url} refuses the request with {cause}",
        "Check --web.user and --web.password.file. Without users, the exporter serves JSON only on loopback, or with --web.enable-pages"),
    "exporter_foreign": ConditionText(
        False, "exporters", "the response of {url} is not that of an exporter: {cause}", "Correct --url; behind a prefix, write the prefix too"),
    "exporter_old": ConditionText(
        False, "exporters", "the exporter at {url} does not report {field}: it has another version than this program", "Install one version of both"),
    "clocks_differ": ConditionText(False, "exporters",
        "the response of {url} is of {at}, but the clock of this host shows {now}",
        "Correct the clocks, or go around the cache between this host and the exporter"),
}  # fmt: skip


def reason(condition: Condition, **values: str) -> GateReason:
    """Return the reason with these values, which others may have written. `file` is the path of the exporter's configuration, if it is known."""
    visible = {"file": UNKNOWN_FILE} | {name: shown(value) for name, value in values.items()}
    row = CONDITIONS[condition]
    commands = {name: word(visible[name], name.upper()) for name in _WORDS & values.keys()}
    return GateReason(condition, row.text.format(**visible), row.fix.format(**visible | commands), known=row.known)


def shown(value: str) -> str:
    """Return a text of others as a part of one line."""
    return hide(printable(value))[:LONGEST_VALUE]
