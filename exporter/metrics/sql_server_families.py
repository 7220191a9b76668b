"""The metric families of a SQL Server, and how many of them one SQL Server may have."""

from __future__ import annotations

from typing import Final

from exporter.metrics.spec import Level, MetricSpec, Retention, SeriesScope

# A SQL Server may have 32,767 databases. What one has beyond these numbers has no series, and is counted.
MOST: Final = 500  # databases, and keys
FEW: Final = 50  # providers, credentials and availability groups


def _sql_server(
    name: str, text: str, own: str = "", *, level: Level = Level.MINIMAL, retention: Retention = Retention.READ
) -> MetricSpec:
    own_labels = tuple(own.split())
    return MetricSpec(name=name, scope=SeriesScope.SQL_SERVER, retention=retention, help=text, own=own_labels, level=level)


SQL_SERVER_METRICS: Final = (
    _sql_server(
        "mssql_ekm_read_success",
        "1 if the last attempt to read the SQL Server succeeded, else 0.",
        retention=Retention.NOW,
    ),
    _sql_server(
        "mssql_ekm_section_timestamp_seconds",
        "Time of the last good reading of the section. Absent before the first one.",
        "section",
    ),
    _sql_server(
        "mssql_ekm_objects_left_out",
        f"Number of databases and keys above {MOST}, and of providers, credentials and groups above {FEW}, which have no series.",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_start_timestamp_seconds",
        "Start time of the SQL Server service. The label node is its computer: the active node of a failover cluster.",
        "server_name node product_version",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_provider_enabled",
        "1 if the EKM provider and the server option EKM provider enabled are both on, else 0.",
        "provider",
    ),
    _sql_server(
        "mssql_ekm_provider_info",
        "An EKM provider as registered in SQL Server. Several builds of the connector call themselves 1.0.5.0.",
        "ag provider provider_version dll_path",
    ),
    _sql_server(
        "mssql_ekm_provider_dll_info",
        "The loaded DLL of an EKM provider, with the version of the file. Absent if no DLL is loaded.",
        "ag provider file_version dll_path",
    ),
    _sql_server(
        "mssql_ekm_provider_loaded_info",
        "An EKM provider as described by its loaded DLL.",
        "ag provider provider_version friendly_name",
    ),
    _sql_server(
        "mssql_ekm_credential_modified_timestamp_seconds",
        "Time at which the credential was created or last altered on this node.",
        "ag provider credential credential_identity",
    ),
    _sql_server(
        "mssql_ekm_credential_altered_timestamp_seconds",
        "Time at which the credential was last altered on this node. Absent if it was only created.",
        "ag provider credential credential_identity",
    ),
    _sql_server(
        "mssql_ekm_asymmetric_key_info",
        "An asymmetric key of a provider on this node. A database does not open on a node without its key.",
        "key_name thumbprint provider",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_key_without_credential",
        "1 for a key that protects a database, if its login has no credential: SQL Server cannot sign in for the key. Otherwise absent.",
        "key_name thumbprint login",
    ),
    _sql_server(
        "mssql_ekm_proven_timestamp_seconds",
        "Time at which SQL Server itself last proved the key, by source and database. Absent if nothing did since its credential was altered.",
        "key_name thumbprint source database",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_proof_due",
        "1 if SQL Server has not proved the key since its credential was altered, or has no credential for it, else 0. Absent if the credential is unknown.",
        "key_name thumbprint",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_target_info",
        f"A target of this exporter whose instances certainly name the SQL Server, whatever they lack or how they are written. At most {MOST}.",
        "target",
    ),
    _sql_server(
        "mssql_ekm_backups_failing_since_timestamp_seconds",
        "Time since which backups of encrypted databases fail, because SQL Server does not get its key: what EkmSqlBackupsFail pages. 0 if none "
        "fails. Absent if that is not known, as after one failed backup.",
    ),
    _sql_server(
        "mssql_ekm_proof_due_since_timestamp_seconds",
        "Time since which a proof of the key is missing: of the change of its credential, else of the last proof, if that is older than three times the "
        "rhythm of its backups and 20 hours. Absent if none is missing, and while backups fail.",
        "key_name thumbprint",
    ),
    _sql_server(
        "mssql_ekm_first_action_info",
        "What an alert says of the SQL Server, or of the database: what is the matter, and what to do first. The label about is backups, closed, log or "
        "reading.",
        "about database shows action",
    ),
    _sql_server(
        "mssql_ekm_alerts_enabled",
        "1 if alerts on the SQL Server may fire, 0 while all of its targets are in a maintenance window. With the team and the environment of most of its "
        "targets, for each availability group.",
        "ag team env",
    ),
    _sql_server(
        "mssql_ekm_read_until_timestamp_seconds",
        "Time until which the oldest section of the reading counts as read: that is one and a half intervals and 15 minutes. 0 if the SQL Server was "
        "never read.",
    ),
    _sql_server(
        "mssql_ekm_restart_ready_until_timestamp_seconds",
        "Time until which the evidence holds that a restart or failover of this node finds the key, if nothing new is read: it is ready while this is in the "
        "future. 0 if it would not find the key, absent if that is not known. As this exporter sees it.",
        "key_name thumbprint",
    ),
    _sql_server(
        "mssql_ekm_restart_missing_info",
        "A row of the evidence that a restart or failover lacks. The label answer is not_ready or not_known.",
        "key_name thumbprint evidence answer",
    ),
    _sql_server(
        "mssql_ekm_difference_databases",
        f"Databases under a key by which the configuration differs from SQL Server, by kind of difference. At most {FEW} of a SQL Server. "
        "The label target is empty if no target probes the key, and key_uri if it is unknown. The labels difference and action are what an alert says.",
        "kind target thumbprint key_uri difference action",
    ),
    _sql_server(
        "mssql_ekm_database_encryption_state",
        "1 unencrypted, 2 encrypting, 3 encrypted, 4 key change, 5 decrypting, 6 change of the protecting key.",
        "database encryptor_type encryptor_thumbprint",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_database_encryption_percent_complete",
        "Progress of the change of the encryption state in percent, 0 if there is none.",
        "database",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_database_key_opened_timestamp_seconds",
        "Time at which this node last opened the encryption key of the database. That needs the vault.",
        "database",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_database_state",
        "0 online, 1 restoring, 2 recovering, 3 recovery pending, 4 suspect, 5 emergency, 6 offline. The label replicas lists the servers of its group.",
        "database ag replicas",
    ),
    _sql_server(
        "mssql_ekm_backup_finished_timestamp_seconds",
        "End of the last finished backup of the database on this node, by type: full, differential or log.",
        "database type",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_backup_started_timestamp_seconds",
        "Start of the last finished backup of the database on this node, by type: full, differential or log.",
        "database type",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_log_vlf_sequence_number",
        "Sequence number of the current virtual log file. SQL Server requests the key for each new one, unless trace flag 15025 is on.",
        "database",
        level=Level.DEFAULT,
    ),
    _sql_server("mssql_ekm_log_used_bytes", "Used space in the log of the database.", "database", level=Level.DEFAULT),
    _sql_server(
        "mssql_ekm_log_free_bytes",
        "Space that the log of the database has until its limit or until the disk is full.",
        "database",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_log_full_seconds",
        "Time from the last reading of the section logs until the log of the database is full, at its present rate. Absent without a rate.",
        "database",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_log_full_timestamp_seconds",
        "Time at which the log of the database is full, if its log backups are late and the key fails. Infinite if that time is not known, otherwise "
        "absent.",
        "database",
    ),
    _sql_server(
        "mssql_ekm_trace_flag_enabled", "1 if the trace flag is on for the whole SQL Server, else 0.", "flag", level=Level.DEFAULT
    ),
    _sql_server(
        "mssql_ekm_error_log_lines",
        "Lines of the error log with the code in the last 24 hours, and before since SQL Server last proved every key, for up to 35 days. Code other has all unknown codes; without it, the log was not read.",
        "code",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_error_log_last_timestamp_seconds",
        "Time of the last line of the error log with the code, of those that mssql_ekm_error_log_lines counts.",
        "code",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_calls_last_hour",
        "Calls of SQL Server to its EKM provider in the hour before the reading, by function and result: code 0 is a success. Absent without a session that "
        "records all of them. Function and code other have all unknown ones.",
        "function code",
        level=Level.DEFAULT,
    ),
    _sql_server(
        "mssql_ekm_call_timestamp_seconds",
        f"Time of the last call of SQL Server to its EKM provider, by function and result, for 35 days. At most {FEW} of a SQL Server.",
        "function code",
        level=Level.DEFAULT,
    ),
)
