-- Shows whether this node started with the new secret. Run it on each node after a restart; prove.sql proves without one. It only reads;
-- login.sql has the rights.
--   sqlcmd -S n2 -E -W -i verify.sql   (sqlcmd 18: -C trusts a self-signed certificate)
SET NOCOUNT ON;

-- 1. The computer and its start. For a failover cluster instance this proves the active node only.
SELECT
    SERVERPROPERTY('ServerName') AS server_name,
    SERVERPROPERTY('ComputerNamePhysicalNetBIOS') AS node,
    i.sqlserver_start_time AS started_local_time
FROM sys.dm_os_sys_info AS i;

-- 2. Every credential of the provider, its login, and whether the service started after the credential was altered. TDE signs in with the login that
-- was made from the asymmetric key (ASYMMETRIC_KEY_MAPPED_LOGIN): a credential on another login does not help.
SELECT
    c.name AS credential_name,
    c.credential_identity,
    p.name AS provider_name,
    c.modify_date AS altered_local_time,
    CASE WHEN c.modify_date > i.sqlserver_start_time THEN 'NO: no start since' ELSE 'yes' END AS started_with_it,
    s.name AS login_name,
    s.type_desc AS login_type
FROM sys.credentials AS c
INNER JOIN sys.cryptographic_providers AS p ON p.provider_id = c.target_id
CROSS JOIN sys.dm_os_sys_info AS i
LEFT JOIN sys.server_principal_credentials AS m ON m.credential_id = c.credential_id
LEFT JOIN sys.server_principals AS s ON s.principal_id = m.principal_id
WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER'
ORDER BY c.modify_date, c.name;

-- 3. The provider. It must be enabled, with the same path and build on every node. `dll_running` is the file version of the loaded DLL, NULL if
-- SQL Server has not loaded it since the start. `version_in_catalog` is 1.0.5.0 for every build since 2018, and may be stale.
SELECT
    p.name AS provider_name,
    p.is_enabled,
    p.version AS version_in_catalog,
    REPLACE(m.file_version, ':', '.') AS dll_running,
    p.dll_path
FROM sys.cryptographic_providers AS p
LEFT JOIN sys.dm_os_loaded_modules AS m ON LOWER(m.name) = LOWER(p.dll_path);

SELECT o.name AS option_name, o.value_in_use
FROM sys.configurations AS o
WHERE o.name = N'EKM provider enabled';

-- 4. The proof: databases whose key this node opened through the vault since the start, with the credential of the key's login as it is now, and
-- with the key that the database has now. If no SID shows the key's login, the newest credential of the provider counts. If in doubt, trust `opened`.
SELECT
    d.name AS database_name,
    d.state_desc,
    k.encryption_state,
    a.name AS asymmetric_key_name,
    CONVERT(varchar(100), k.encryptor_thumbprint, 1) AS encryptor_thumbprint,
    k.opened_date AS opened_utc,
    DATEADD(minute, DATEDIFF(minute, GETUTCDATE(), GETDATE()), k.opened_date) AS opened_local_time,
    CASE
        WHEN d.state <> 0 THEN 'NO: not online'
        WHEN a.name IS NULL THEN 'NO: this node does not know the asymmetric key'
        WHEN k.opened_date IS NULL OR k.opened_date
            < DATEADD(second, -CAST((i.ms_ticks - i.sqlserver_start_time_ms_ticks) / 1000 AS int), GETUTCDATE())
            THEN 'NO: not opened since the start'
        WHEN COALESCE(o.altered, t.altered) > i.sqlserver_start_time THEN 'NO: no start since its credential was altered'
        WHEN k.create_date > k.opened_date OR k.regenerate_date > k.opened_date OR k.modify_date > k.opened_date OR k.set_date > k.opened_date
            THEN 'NO: its key changed since it was opened'
        ELSE 'yes'
    END AS proven
FROM sys.dm_database_encryption_keys AS k
INNER JOIN sys.databases AS d ON d.database_id = k.database_id
LEFT JOIN master.sys.asymmetric_keys AS a ON a.thumbprint = k.encryptor_thumbprint
LEFT JOIN (
    SELECT s.sid, MAX(c.modify_date) AS altered
    FROM sys.server_principals AS s
    INNER JOIN sys.server_principal_credentials AS m ON m.principal_id = s.principal_id
    INNER JOIN sys.credentials AS c ON c.credential_id = m.credential_id
    WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER'
    GROUP BY s.sid
) AS o ON o.sid = a.sid
LEFT JOIN (
    SELECT p.guid, MAX(c.modify_date) AS altered
    FROM sys.credentials AS c
    INNER JOIN sys.cryptographic_providers AS p ON p.provider_id = c.target_id
    WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER'
    GROUP BY p.guid
) AS t ON t.guid = a.cryptographic_provider_guid
CROSS JOIN sys.dm_os_sys_info AS i
WHERE k.encryptor_type = N'ASYMMETRIC KEY'
ORDER BY d.name;

-- 5. Databases that did not open. The list should be empty.
SELECT d.name AS database_name, d.state_desc
FROM sys.databases AS d
WHERE d.state IN (3, 4)
ORDER BY d.name;
GO
