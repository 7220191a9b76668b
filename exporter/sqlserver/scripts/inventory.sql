-- Prints what this instance uses of Azure Key Vault, as one JSON document, for `ekm-exporter inventory`. It only reads metadata: no secret, no data
-- of any database. login.sql has the least rights; SQL Server 2016 and later.
--   sqlcmd -S n1 -E -u -i inventory.sql -o n1.txt   (sqlcmd 18: -C trusts a self-signed certificate)
--   ekm-exporter inventory --from n1.txt --out targets.d
-- inventory.ps1 runs it on many instances, and adds the registry's KeyUri.
--
-- Each batch prints one section. A batch that fails, for lack of a right, costs its own section alone. Lines have at most 74 characters between two
-- bars, so that sqlcmd does not wrap or cut them, and the blanks at their ends survive. The last line of a section has the SHA-256 of its text in
-- UTF-16: the reader detects lost lines and characters.
SET NOCOUNT ON;
GO

-- The instance: its names and version. `machine` is the virtual name of a failover cluster instance. Without the rights named here, lists are
-- silently empty: the reader then counts them as unread. SQL Server before 2022 does not know the second right, which is then missing in the output.
-- Cost: one row; no view.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"instance","rows":', ISNULL((
    SELECT
        CAST(SERVERPROPERTY('ServerName') AS nvarchar(256)) AS server_name,
        CAST(SERVERPROPERTY('MachineName') AS nvarchar(256)) AS machine,
        CAST(SERVERPROPERTY('InstanceName') AS nvarchar(256)) AS instance_name,
        CAST(SERVERPROPERTY('ComputerNamePhysicalNetBIOS') AS nvarchar(256)) AS node,
        CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(256)) AS product_version,
        CAST(SERVERPROPERTY('Edition') AS nvarchar(256)) AS edition,
        CASE WHEN @@VERSION LIKE N'%Linux%' THEN N'linux' ELSE N'windows' END AS platform,
        HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DEFINITION') AS may_view_definitions,
        HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY SECURITY DEFINITION') AS may_view_security_definitions,
        HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DATABASE') AS may_view_databases,
        CONVERT(varchar(19), GETUTCDATE(), 126) AS read_at_utc,
        CAST(15 * ROUND(DATEDIFF(minute, GETUTCDATE(), GETDATE()) / 15.0, 0) AS int) AS utc_offset_minutes
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS instance
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The EKM providers, with the version in the catalog, which may be stale.
-- Cost: a row for each provider; one catalog view.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"providers","rows":', ISNULL((
    SELECT
        p.name AS name,
        p.version AS version,
        p.dll_path AS dll_path,
        CAST(p.is_enabled AS int) AS is_enabled
    FROM sys.cryptographic_providers AS p
    ORDER BY p.name
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS providers
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The version of the DLL that runs. No row if SQL Server has not loaded it since the start.
-- Cost: a row for each provider; one pass over sys.dm_os_loaded_modules, with some hundred DLLs.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"modules","rows":', ISNULL((
    SELECT
        p.name AS provider,
        REPLACE(m.file_version, ':', '.') AS file_version
    FROM sys.cryptographic_providers AS p
    INNER JOIN sys.dm_os_loaded_modules AS m ON LOWER(m.name) = LOWER(p.dll_path) -- Windows ignores the case, and a collation may not
    ORDER BY p.name
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS modules
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The credentials of the providers: identity and dates. SQL Server shows no secret.
-- Cost: a row for each credential of a provider; two catalog views.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"credentials","rows":', ISNULL((
    SELECT
        c.name AS name,
        c.credential_identity AS [identity],
        p.name AS provider,
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), c.create_date), 126) AS created_utc,
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), c.modify_date), 126) AS modified_utc
    FROM sys.credentials AS c
    INNER JOIN sys.cryptographic_providers AS p ON p.provider_id = c.target_id
    WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER'
    ORDER BY c.name
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS credentials
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The asymmetric keys of the providers, and the credential of each key's login: TDE signs in with it. Microsoft documents the SID of a provider's
-- key as NULL; the next section then has the logins that may belong to it. Both are in the order in which they were made.
-- Cost: a row for each key; five catalog views. The largest is sys.server_principals.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"keys","rows":', ISNULL((
    SELECT
        k.name AS name,
        CONVERT(varchar(100), k.thumbprint, 1) AS thumbprint,
        k.key_length AS key_length,
        CONVERT(varchar(max), k.public_key, 1) AS public_key,
        p.name AS provider,
        CASE WHEN k.sid IS NULL THEN 0 ELSE 1 END AS has_sid,
        s.name AS login,
        c.name AS credential
    FROM master.sys.asymmetric_keys AS k
    LEFT JOIN sys.cryptographic_providers AS p ON p.guid = k.cryptographic_provider_guid
    LEFT JOIN sys.server_principals AS s ON s.sid = k.sid
    LEFT JOIN sys.server_principal_credentials AS m ON m.principal_id = s.principal_id
    LEFT JOIN sys.credentials AS c ON c.credential_id = m.credential_id AND c.target_id = p.provider_id
    WHERE k.provider_type = N'CRYPTOGRAPHIC PROVIDER'
    ORDER BY k.asymmetric_key_id
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS keys
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The logins that were made from an asymmetric key, if no SID shows from which one, and their credentials of providers.
-- Cost: a row for each login of a key without a SID; five catalog views. The largest is sys.server_principals.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"logins","rows":', ISNULL((
    SELECT
        s.name AS name,
        p.name AS provider,
        c.name AS credential
    FROM sys.server_principals AS s
    LEFT JOIN sys.server_principal_credentials AS m ON m.principal_id = s.principal_id
    LEFT JOIN sys.credentials AS c ON c.credential_id = m.credential_id AND c.target_type = N'CRYPTOGRAPHIC PROVIDER'
    LEFT JOIN sys.cryptographic_providers AS p ON p.provider_id = c.target_id
    WHERE s.type = 'K' AND NOT EXISTS (SELECT k.sid FROM master.sys.asymmetric_keys AS k WHERE k.sid = s.sid)
    ORDER BY s.principal_id
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS logins
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- Which key protects each database. A database that did not open is missing here.
-- Cost: a row for each open encrypted database; one pass over sys.dm_database_encryption_keys and sys.databases.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"encryption","rows":', ISNULL((
    SELECT
        d.name AS [database],
        k.encryption_state AS encryption_state,
        k.encryptor_type AS encryptor_type,
        CONVERT(varchar(100), k.encryptor_thumbprint, 1) AS thumbprint
    FROM sys.dm_database_encryption_keys AS k
    INNER JOIN sys.databases AS d ON d.database_id = k.database_id
    WHERE d.name <> N'tempdb'
    ORDER BY d.name
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS encryption
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- Databases that are encrypted or in an availability group, or not online: SQL Server does not show the key of these.
-- Cost: a row for each encrypted, grouped or closed database; one pass over sys.databases.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"databases","rows":', ISNULL((
    SELECT
        d.name AS name,
        d.state_desc AS state,
        CAST(d.is_encrypted AS int) AS is_encrypted,
        CASE WHEN d.replica_id IS NULL THEN 0 ELSE 1 END AS in_group,
        g.name AS ag,
        CAST(d.is_auto_close_on AS int) AS auto_close
    FROM sys.databases AS d
    LEFT JOIN sys.availability_replicas AS r ON r.replica_id = d.replica_id
    LEFT JOIN sys.availability_groups AS g ON g.group_id = r.group_id
    WHERE d.source_database_id IS NULL AND (d.is_encrypted = 1 OR d.state <> 0 OR d.replica_id IS NOT NULL)
    ORDER BY d.name
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS databases
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The availability groups and the servers of each. A replica for the configuration alone has no database.
-- Cost: a row for each replica; two catalog views.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"replicas","rows":', ISNULL((
    SELECT
        g.name AS ag,
        r.replica_server_name AS server_name,
        r.availability_mode_desc AS mode
    FROM sys.availability_groups AS g
    INNER JOIN sys.availability_replicas AS r ON r.group_id = g.group_id
    WHERE COALESCE(g.is_distributed, 0) = 0
    ORDER BY g.name, r.replica_server_name
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS replicas
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The option `EKM provider enabled`, the switch of all providers. `value` takes effect at RECONFIGURE or at a start, `value_in_use` is in effect now.
-- Cost: one row; one catalog view.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"configurations","rows":', ISNULL((
    SELECT
        o.name AS name,
        CAST(o.value AS int) AS value,
        CAST(o.value_in_use AS int) AS value_in_use
    FROM sys.configurations AS o
    WHERE o.name = N'EKM provider enabled'
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS configurations
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The start of the service, which makes tempdb again: every login may see that. It is local time in SQL Server, as the dates of credentials, and both
-- become UTC in the same way.
-- Cost: one row; one row of sys.databases.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"start","rows":', ISNULL((
    SELECT
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), d.create_date), 126) AS started_utc
    FROM sys.databases AS d
    WHERE d.name = N'tempdb'
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS start
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The computers on which a failover cluster instance can run; empty for any other instance.
-- Cost: a row for each computer; one view of the cluster.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"nodes","rows":', ISNULL((
    SELECT n.NodeName AS name
    FROM sys.dm_os_cluster_nodes AS n
    ORDER BY n.NodeName
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS nodes
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO
