-- What SQL Server itself proves: backups, openings and the room in the logs of encrypted databases, what the error log shows, and the loaded DLL.
-- `ekm-exporter run` sends it after inventory.sql, in the same form: a batch for each section, with a checksum. It only reads; its table variables
-- live as long as a batch. login.sql has the rights. A refused batch costs its own section alone.
-- The session has LOCK_TIMEOUT and a low DEADLOCK_PRIORITY, and each batch has a limit in time. SQL Server 2016 SP2 and later.
-- Local times become UTC by today's offset: a time before the last change of daylight saving is one hour off.
SET NOCOUNT ON;
GO

-- When this node last opened the key of each database: that needs the vault. And when the key was set or last modified, as a move to another
-- protector does: backups from before needed another key, or none. Both are UTC already. tempdb is left out: no vault protects it.
-- Rights: VIEW SERVER SECURITY STATE (before 2022: VIEW SERVER STATE), VIEW ANY DATABASE. Sources: sys.dm_database_encryption_keys, sys.databases.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"opened","rows":', ISNULL((
    SELECT
        d.name AS [database],
        CONVERT(varchar(19), k.opened_date, 126) AS opened_utc,
        CONVERT(varchar(19), CASE WHEN k.modify_date > k.set_date THEN k.modify_date ELSE k.set_date END, 126) AS set_utc,
        k.encryption_state AS encryption_state,
        CAST(k.percent_complete AS int) AS percent_complete
    FROM sys.dm_database_encryption_keys AS k
    INNER JOIN sys.databases AS d ON d.database_id = k.database_id
    WHERE d.name <> N'tempdb'
    ORDER BY d.name
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS opened
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The last finished backup of each encrypted database, by type, that this node made in the last 35 days, of its log in the last two days: each
-- needed the vault. The index on backup_finish_date bounds both searches: log backups are many. `run` searches 35 days once a day, otherwise two,
-- and keeps what it found. Backups of one type of a database never overlap,
-- so the latest start and the latest end belong to one backup. Snapshots of a storage system copy files, and are left out.
-- Rights: SELECT on msdb.dbo.backupset, VIEW ANY DATABASE. Sources: dbo.backupset, sys.databases.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"backups","rows":', ISNULL((
    SELECT
        d.name AS [database],
        b.type AS type,
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), MAX(b.backup_start_date)), 126) AS started_utc,
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), MAX(b.backup_finish_date)), 126) AS finished_utc
    FROM (
        SELECT
            s.database_name AS database_name,
            s.type AS type,
            s.backup_start_date AS backup_start_date,
            s.backup_finish_date AS backup_finish_date,
            s.server_name AS server_name
        FROM msdb.dbo.backupset AS s
        WHERE s.backup_finish_date >= DATEADD(day, -35, GETDATE()) AND s.type IN ('D', 'I') AND s.is_snapshot = 0
        UNION ALL
        SELECT
            s.database_name AS database_name,
            s.type AS type,
            s.backup_start_date AS backup_start_date,
            s.backup_finish_date AS backup_finish_date,
            s.server_name AS server_name
        FROM msdb.dbo.backupset AS s
        WHERE s.backup_finish_date >= DATEADD(day, -2, GETDATE()) AND s.type = 'L' AND s.is_snapshot = 0
    ) AS b
    INNER JOIN sys.databases AS d ON d.name = b.database_name
    WHERE b.server_name IN (@@SERVERNAME, CAST(SERVERPROPERTY('ServerName') AS nvarchar(128)))
        AND d.is_encrypted = 1
    GROUP BY d.name, b.type
    ORDER BY d.name, b.type
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS backups
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The log of each encrypted database that is online: the sequence number of its virtual log file (VLF), which rises with each request to the vault
-- unless trace flag 15025 is on; what is used, and what is left until the limit of its files or the end of their volumes. Logs of one volume share
-- its room; of several volumes the first is named. On a secondary replica SQL Server shows the time of the last log backup alone. A size of -1 is
-- no limit; a file that cannot grow has its size as limit.
-- Rights: VIEW SERVER PERFORMANCE STATE (before 2022: VIEW SERVER STATE), VIEW ANY DATABASE; without VIEW ANY DEFINITION, limit and disk are absent.
-- Sources: sys.dm_db_log_stats (2016 SP2 and later), sys.master_files, sys.dm_os_volume_stats, sys.databases.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"logs","rows":', ISNULL((
    SELECT
        d.name AS [database],
        l.current_vlf_sequence_number AS vlf_sequence_number,
        l.total_vlf_count AS vlf_count,
        CAST(CEILING(l.current_vlf_size_mb) AS bigint) AS vlf_mb,
        CAST(l.total_log_size_mb * 1024 AS bigint) AS total_kb,
        CAST(l.active_log_size_mb * 1024 AS bigint) AS used_kb,
        CAST(l.log_since_last_log_backup_mb * 1024 AS bigint) AS since_backup_kb,
        CASE WHEN l.log_backup_time > '19010101' THEN
            CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), l.log_backup_time), 126) END AS log_backup_utc,
        f.limit_kb AS limit_kb,
        v.volume AS volume,
        v.disk_free_kb AS disk_free_kb,
        d.log_reuse_wait_desc AS reuse_wait
    FROM sys.databases AS d
    CROSS APPLY sys.dm_db_log_stats(d.database_id) AS l
    LEFT JOIN (
        SELECT
            m.database_id AS database_id,
            CASE WHEN MIN(CASE WHEN m.growth = 0 THEN 0 ELSE m.max_size END) >= 0 THEN
                8 * SUM(CAST(CASE WHEN m.growth = 0 OR m.max_size = 0 THEN m.size ELSE m.max_size END AS bigint)) END AS limit_kb
        FROM sys.master_files AS m
        WHERE m.type = 1
        GROUP BY m.database_id
    ) AS f ON f.database_id = d.database_id
    LEFT JOIN (
        SELECT o.database_id AS database_id, MIN(o.volume_mount_point) AS volume, SUM(o.available_kb) AS disk_free_kb
        FROM (
            SELECT
                m.database_id AS database_id,
                s.volume_mount_point AS volume_mount_point,
                MIN(s.available_bytes) / 1024 AS available_kb
            FROM sys.databases AS e
            INNER JOIN sys.master_files AS m ON m.database_id = e.database_id
            CROSS APPLY sys.dm_os_volume_stats(m.database_id, m.file_id) AS s
            WHERE e.is_encrypted = 1 AND e.state = 0 AND m.type = 1 AND m.growth <> 0
            GROUP BY m.database_id, s.volume_mount_point
        ) AS o
        GROUP BY o.database_id
    ) AS v ON v.database_id = d.database_id
    WHERE d.is_encrypted = 1 AND d.state = 0 AND d.source_database_id IS NULL AND d.name <> N'tempdb'
    ORDER BY d.name
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS logs
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- Trace flag 15025: with it, a new virtual log file needs no request to the vault.
-- Right: visible to public. Source: DBCC TRACESTATUS.
DECLARE @status TABLE (flag int, is_on int, is_global int, is_session int);
INSERT INTO @status (flag, is_on, is_global, is_session)
EXEC (N'DBCC TRACESTATUS (15025, -1) WITH NO_INFOMSGS;');
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"flags","rows":', ISNULL((
    SELECT
        s.flag AS flag,
        s.is_on AS is_on
    FROM @status AS s
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS flags
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- OPTIONAL. The lines of the current error log with a provider's error code, by code, and those of failed backups (18204, 3041), and of a DLL
-- or a key that is missing, which have no such code (33027, 33111), in the last 24 hours, at most 1000 in all. Any text between the words and the next character that is no digit is read as a code; the reader knows which exist.
-- A log in another language than English has other words before the provider's code. Each search reads the whole current log.
-- Right: EXECUTE on sys.xp_readerrorlog, and VIEW ANY ERROR LOG since 2022. Source: sys.xp_readerrorlog, which Microsoft does not document.
DECLARE @since datetime = DATEADD(hour, -24, GETDATE()), @until datetime = DATEADD(hour, 24, GETDATE());
DECLARE @log TABLE (logged datetime, process nvarchar(100), line nvarchar(max));
INSERT INTO @log (logged, process, line)
EXEC master.sys.xp_readerrorlog 0, 1, N'Provider error code', NULL, @since, @until, N'desc';
INSERT INTO @log (logged, process, line)
EXEC master.sys.xp_readerrorlog 0, 1, N': 18204,', NULL, @since, @until, N'desc';
INSERT INTO @log (logged, process, line)
EXEC master.sys.xp_readerrorlog 0, 1, N': 3041,', NULL, @since, @until, N'desc';
INSERT INTO @log (logged, process, line)
EXEC master.sys.xp_readerrorlog 0, 1, N': 33027,', NULL, @since, @until, N'desc';
INSERT INTO @log (logged, process, line)
EXEC master.sys.xp_readerrorlog 0, 1, N': 33111,', NULL, @since, @until, N'desc';
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"errors","rows":', ISNULL((
    SELECT
        c.code AS code,
        COUNT(*) AS lines,
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), MIN(c.logged)), 126) AS first_utc,
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), MAX(c.logged)), 126) AS last_utc
    FROM (
        SELECT TOP (1000)
            r.logged AS logged,
            CAST(SUBSTRING(r.rest, 1, PATINDEX('%[^0-9]%', r.rest) - 1) AS varchar(20)) AS code
        FROM (
            SELECT
                l.logged AS logged,
                CASE
                    WHEN l.line LIKE '%: 18204,%' THEN '18204x'
                    WHEN l.line LIKE '%: 3041,%' THEN '3041x'
                    WHEN l.line LIKE '%: 33027,%' THEN '33027x'
                    WHEN l.line LIKE '%: 33111,%' THEN '33111x'
                    ELSE LTRIM(REPLACE(SUBSTRING(SUBSTRING(l.line, CHARINDEX('Provider error code', l.line), 40), 20, 20), ':', ' ')) + 'x'
                END AS rest
            FROM @log AS l
        ) AS r
        ORDER BY r.logged DESC
    ) AS c
    GROUP BY c.code
    ORDER BY c.code
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS errors
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- How the loaded DLL of each provider describes itself. The view fails if a DLL cannot be loaded.
-- Right: visible to public. Sources: sys.dm_cryptographic_provider_properties, sys.cryptographic_providers.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"loaded","rows":', ISNULL((
    SELECT
        p.name AS provider,
        l.provider_version AS provider_version,
        l.friendly_name AS friendly_name
    FROM sys.dm_cryptographic_provider_properties AS l
    INNER JOIN sys.cryptographic_providers AS p ON p.provider_id = l.provider_id
    ORDER BY p.name
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS loaded
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO
