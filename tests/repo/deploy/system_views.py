"""The columns of SQL Server's system views for the scripts, and the right that each view needs.

From Microsoft's reference of each view, for SQL Server 2016 to 2022; columns that came after 2016 are left out on purpose. The pages are
`sys-NAME-transact-sql` of the catalog views and of the dynamic management views in the repository MicrosoftDocs/sql-docs; what a script rests on
stands with its view here.
"""

ANYBODY = "visible to public"
DEFINITION = "VIEW ANY DEFINITION"
DATABASES = "VIEW ANY DATABASE"
PERFORMANCE = "VIEW SERVER PERFORMANCE STATE"  # VIEW SERVER STATE before 2022
SECURITY = "VIEW SERVER SECURITY STATE"  # VIEW SERVER STATE before 2022
ERROR_LOG = "VIEW ANY ERROR LOG"  # since 2022
BACKUPS = "SELECT ON dbo.backupset"  # as a user of msdb
SYSADMIN = "sysadmin"

# view: (right, its columns, its columns of type bit)
VIEWS: dict[str, tuple[str, str, str]] = {
    "credentials": (DEFINITION, "credential_id name credential_identity create_date modify_date target_type target_id", ""),
    "cryptographic_providers": (ANYBODY, "provider_id name guid version dll_path is_enabled", "is_enabled"),
    "dm_cryptographic_provider_properties": (
        ANYBODY,
        "provider_id guid provider_version sqlcrypt_version friendly_name authentication_type",
        "",
    ),
    "configurations": (ANYBODY, "configuration_id name value minimum maximum value_in_use description", ""),
    "availability_groups": (DEFINITION, "group_id name resource_id is_distributed cluster_type", "is_distributed"),
    "availability_replicas": (
        DEFINITION,
        "replica_id group_id replica_server_name endpoint_url availability_mode availability_mode_desc",
        "",
    ),
    "asymmetric_keys": (
        DEFINITION,
        "name asymmetric_key_id thumbprint algorithm key_length public_key sid provider_type cryptographic_provider_guid",
        "",
    ),
    # `ms_ticks`: milliseconds since the computer started; `sqlserver_start_time_ms_ticks`: `ms_ticks` at the start of the service, whose other
    # column is local time.
    "dm_os_sys_info": (PERFORMANCE, "ms_ticks cpu_count sqlserver_start_time_ms_ticks sqlserver_start_time", ""),
    # Page sys-dm-os-cluster-nodes-transact-sql; the right since SQL Server 2022 as that of the other views of the cluster.
    "dm_os_cluster_nodes": (PERFORMANCE, "NodeName status status_description is_current_owner", "is_current_owner"),
    "dm_os_loaded_modules": (
        PERFORMANCE,
        "base_address file_version product_version debug patched prerelease private_build special_build language company description name",
        "debug patched prerelease private_build special_build",
    ),
    # A function of a database's id; the column of the thumbprint since SQL Server 2019.
    "dm_db_log_info": (
        PERFORMANCE,
        (
            "database_id file_id vlf_begin_offset vlf_size_mb vlf_sequence_number vlf_active vlf_status vlf_parity vlf_first_lsn "
            "vlf_create_lsn vlf_encryptor_thumbprint"
        ),
        "vlf_active",
    ),
    # A function of a database's id, since SQL Server 2016 SP2. A secondary replica returns id, recovery model and time of the log backup alone.
    "dm_db_log_stats": (
        PERFORMANCE,
        (
            "database_id recovery_model log_min_lsn log_end_lsn current_vlf_sequence_number current_vlf_size_mb total_vlf_count "
            "total_log_size_mb active_vlf_count active_log_size_mb log_truncation_holdup_reason log_backup_time log_backup_lsn "
            "log_since_last_log_backup_mb log_checkpoint_lsn log_since_last_checkpoint_mb log_recovery_lsn log_recovery_size_mb "
            "recovery_vlf_count"
        ),
        "",
    ),
    # A function of the ids of a database and of its file.
    "dm_os_volume_stats": (
        PERFORMANCE,
        "database_id file_id volume_mount_point volume_id logical_volume_name file_system_type total_bytes available_bytes is_read_only",
        "is_read_only",
    ),
    "master_files": (
        DEFINITION,
        "database_id file_id file_guid type type_desc data_space_id name physical_name state state_desc size max_size growth is_percent_growth",
        "is_percent_growth",
    ),
    # All dates are UTC.
    "dm_database_encryption_keys": (
        SECURITY,
        (
            "database_id encryption_state create_date regenerate_date modify_date set_date opened_date key_algorithm key_length "
            "encryptor_thumbprint encryptor_type percent_complete"
        ),
        "",
    ),
    # `create_date`: local time at which the database was created or renamed; of tempdb, that of the start.
    "databases": (
        DATABASES,
        "name database_id source_database_id create_date is_auto_close_on state state_desc is_encrypted replica_id log_reuse_wait_desc",
        "is_auto_close_on is_encrypted",
    ),
    "server_principals": (DEFINITION, "name principal_id sid type type_desc is_disabled", "is_disabled"),
    "key_encryptions": (DEFINITION, "key_id thumbprint crypt_type crypt_type_desc crypt_property", ""),
    "symmetric_keys": (DEFINITION, "name principal_id symmetric_key_id key_length key_algorithm algorithm_desc key_guid", ""),
    "server_principal_credentials": (DEFINITION, "principal_id credential_id", ""),
    # What xp_readerrorlog returns, which Microsoft does not document, and DBCC TRACESTATUS (page dbcc-tracestatus-transact-sql).
    "error_log_lines": (ERROR_LOG, "logged process line", ""),
    "trace_status": (ANYBODY, "flag is_on is_global is_session", ""),
    # Extended events: a session that runs, its events and its targets. `create_time` is local time; `event_predicate` is NULL without one; the XML of
    # the target event_file names the file that it writes.
    "dm_xe_sessions": (
        PERFORMANCE,
        (
            "address name pending_buffers total_regular_buffers regular_buffer_size total_large_buffers large_buffer_size total_buffer_size "
            "buffer_policy_flags buffer_policy_desc flags flag_desc dropped_event_count dropped_buffer_count blocked_event_fire_time create_time "
            "largest_event_dropped_size session_source"
        ),
        "",
    ),
    # Its definition, by name. `max_dispatch_latency` in milliseconds: Microsoft's page has -1 for one without limit, and CREATE EVENT SESSION 0.
    "server_event_sessions": (
        PERFORMANCE,
        (
            "event_session_id name event_retention_mode event_retention_mode_desc max_dispatch_latency max_memory max_event_size "
            "memory_partition_mode memory_partition_mode_desc track_causality startup_state"
        ),
        "track_causality startup_state",
    ),
    "dm_xe_session_events": (PERFORMANCE, "event_session_address event_name event_package_guid event_predicate", ""),
    "dm_xe_session_targets": (
        PERFORMANCE,
        "event_session_address target_name target_package_guid execution_count execution_duration_ms target_data",
        "",
    ),
    # Page sys-fn-xe-file-target-read-file-transact-sql: it skips the events up to the offset, and `timestamp_utc` came with 2017.
    "fn_xe_file_target_read_file": (PERFORMANCE, "module_guid package_guid object_name event_data file_name file_offset", ""),
    "database_principals": (
        ANYBODY,
        "name principal_id type type_desc default_schema_name create_date modify_date owning_principal_id sid",
        "",
    ),
    "server_permissions": (DEFINITION, "class major_id grantee_principal_id permission_name state state_desc", ""),
}

# Tables of msdb: right and columns (page backupset-transact-sql). A sysadmin runs retire-version.sql. `time_zone`: local time minus UTC in steps of
# 15 minutes, when the backup started; 127 is unknown. `type`: D database, I differential, L log, F file, G differential file, P partial, Q differential
# partial. The dates are local times.
MSDB: dict[str, tuple[str, str]] = {
    "backupset": (
        BACKUPS,
        (
            "backup_set_id media_set_id position type database_name server_name backup_start_date backup_finish_date time_zone has_backup_checksums "
            "is_snapshot is_copy_only key_algorithm encryptor_thumbprint encryptor_type"
        ),
    ),
    "backupmediafamily": (
        SYSADMIN,
        "media_set_id family_sequence_number media_count logical_device_name physical_device_name device_type",
    ),
}

# AADServicePrincipalSignInLogs, as Azure Monitor's reference of tables names its columns (edition of March 2026).
SIGN_IN_COLUMNS = """
AppId AuthenticationContextClassReferences AuthenticationProcessingDetails Category ConditionalAccessPolicies
ConditionalAccessStatus CorrelationId DurationMs FederatedCredentialId Id Identity IPAddress Level Location LocationDetails
OperationName OperationVersion ResourceDisplayName ResourceGroup ResourceIdentity ResourceServicePrincipalId ResultDescription
ResultSignature ResultType ServicePrincipalCredentialKeyId ServicePrincipalCredentialThumbprint ServicePrincipalId
ServicePrincipalName SourceSystem TenantId TimeGenerated Type UniqueTokenIdentifier
"""
