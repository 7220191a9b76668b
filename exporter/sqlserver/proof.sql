-- What SQL Server itself proves: backups, openings and the room in the logs of encrypted databases, what the error log shows, and the loaded DLL.
-- `ekm-exporter run` sends it after inventory.sql, in the same form: a batch for each section, with a checksum. It only reads; its table variables
-- live as long as a batch. login.sql has the rights. A refused batch costs its own section alone.
-- The session waits for no lock of a row, has LOCK_TIMEOUT for others and a low DEADLOCK_PRIORITY, and each batch has a limit in time; a comment says
-- what it costs. SQL Server 2016 SP2 and later.
-- A local time becomes UTC by the offset that SQL Server stored with it, else by today's: then it may be one hour off.
SET NOCOUNT ON;
GO

-- The start of the service in UTC. The ticks since then tell which offset its local time had.
-- Cost: one row; one view of one row.
-- Right: VIEW SERVER PERFORMANCE STATE (before 2022: VIEW SERVER STATE). Source: sys.dm_os_sys_info.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"service","rows":', ISNULL((
    SELECT
        CONVERT(varchar(19), DATEADD(minute, -15 * CAST(ROUND(DATEDIFF(
            minute,
            DATEADD(second, -CAST((i.ms_ticks - i.sqlserver_start_time_ms_ticks) / 1000 AS int), GETUTCDATE()),
            i.sqlserver_start_time
        ) / 15.0, 0) AS int), i.sqlserver_start_time), 126) AS started_utc
    FROM sys.dm_os_sys_info AS i
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS service
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- When this node last opened the key of each database: that needs the vault. And when the key was made, set or last modified, as a move to another
-- protector does: backups from before needed another key, or none. All are UTC already. tempdb is left out: no vault protects it.
-- Cost: a row for each open encrypted database; one pass over sys.dm_database_encryption_keys and sys.databases.
-- Rights: VIEW SERVER SECURITY STATE (before 2022: VIEW SERVER STATE), VIEW ANY DATABASE. Sources: sys.dm_database_encryption_keys, sys.databases.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"opened","rows":', ISNULL((
    SELECT
        d.name AS [database],
        CONVERT(varchar(19), k.opened_date, 126) AS opened_utc,
        CONVERT(varchar(19), CASE WHEN k.changed > k.made OR k.made IS NULL THEN k.changed ELSE k.made END, 126) AS set_utc,
        k.encryption_state AS encryption_state,
        CAST(k.percent_complete AS int) AS percent_complete
    FROM (
        SELECT
            x.database_id AS database_id,
            x.opened_date AS opened_date,
            x.encryption_state AS encryption_state,
            x.percent_complete AS percent_complete,
            CASE WHEN x.regenerate_date > x.create_date OR x.create_date IS NULL THEN x.regenerate_date ELSE x.create_date END AS made,
            CASE WHEN x.modify_date > x.set_date OR x.set_date IS NULL THEN x.modify_date ELSE x.set_date END AS changed
        FROM sys.dm_database_encryption_keys AS x
    ) AS k
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

-- The newest number of the history of backups: `run` reads on from there. A smaller one than before is another history.
-- Cost: one row; one look-up at the end of the primary key of msdb.dbo.backupset.
-- Right: SELECT on msdb.dbo.backupset. Source: dbo.backupset.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"history","rows":', ISNULL((
    SELECT MAX(s.backup_set_id) AS newest_id
    FROM msdb.dbo.backupset AS s
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS history
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The last finished backup of each encrypted database, by type, that this node made: each needed the vault. And the number of gaps between two ends
-- of backups, with the longest two: how old the next one may become. Without a number to read on from, the newest 500,000 backups of 35 days count.
-- Snapshots of a storage system copy files, and are left out, and so are backups of an earlier database of that name. SQL Server stores the offset of
-- local time at the start of a backup; 127 is an unknown one. An end that a change of the offset moves lies between the start and now.
-- Cost: up to seven rows a database; one range of msdb.dbo.backupset, sorted twice: what is new. The worst is the first time, with 500,000 rows.
-- Rights: SELECT on msdb.dbo.backupset, VIEW ANY DATABASE. Sources: dbo.backupset, sys.databases.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"backups","rows":', ISNULL((
    SELECT
        g.name AS [database],
        g.type AS type,
        CONVERT(varchar(19), MAX(CASE WHEN g.newest = 1 THEN g.started END), 126) AS started_utc,
        CONVERT(varchar(19), MAX(CASE WHEN g.newest = 1 THEN g.finished END), 126) AS finished_utc,
        MAX(CASE WHEN g.newest = 1 THEN g.offset_minutes END) AS offset_minutes,
        COUNT(g.seconds) AS gaps,
        MAX(CASE WHEN g.longest = 1 THEN g.seconds END) AS longest_seconds,
        MAX(CASE WHEN g.longest = 2 THEN g.seconds END) AS second_seconds
    FROM (
        SELECT
            n.name AS name,
            n.type AS type,
            n.started AS started,
            n.finished AS finished,
            n.offset_minutes AS offset_minutes,
            n.newest AS newest,
            n.seconds AS seconds,
            ROW_NUMBER() OVER (PARTITION BY n.name, n.type ORDER BY n.seconds DESC) AS longest
        FROM (
            SELECT
                e.name AS name,
                e.type AS type,
                e.started AS started,
                e.finished AS finished,
                e.offset_minutes AS offset_minutes,
                ROW_NUMBER() OVER (PARTITION BY e.name, e.type ORDER BY e.finished DESC, e.id DESC) AS newest,
                DATEDIFF(second, LAG(e.finished) OVER (PARTITION BY e.name, e.type ORDER BY e.finished, e.id), e.finished) AS seconds
            FROM (
                SELECT
                    u.id AS id,
                    u.name AS name,
                    u.type AS type,
                    u.offset_minutes AS offset_minutes,
                    u.started AS started,
                    CASE
                        WHEN u.finished < u.started THEN u.started
                        WHEN u.finished > GETUTCDATE() THEN GETUTCDATE()
                        ELSE u.finished
                    END AS finished
                FROM (
                    SELECT
                        b.backup_set_id AS id,
                        d.name AS name,
                        b.type AS type,
                        b.offset_minutes AS offset_minutes,
                        DATEADD(minute, -COALESCE(b.offset_minutes, b.offset_today), b.backup_start_date) AS started,
                        DATEADD(minute, -COALESCE(b.offset_minutes, b.offset_today), b.backup_finish_date) AS finished
                    FROM (
                        SELECT
                            s.backup_set_id AS backup_set_id,
                            s.database_name AS database_name,
                            s.type AS type,
                            s.backup_start_date AS backup_start_date,
                            s.backup_finish_date AS backup_finish_date,
                            CASE WHEN s.time_zone <> 127 THEN 15 * s.time_zone END AS offset_minutes,
                            DATEDIFF(minute, GETUTCDATE(), GETDATE()) AS offset_today
                        FROM msdb.dbo.backupset AS s
                        WHERE s.backup_set_id > (SELECT MAX(m.backup_set_id) - 500000 FROM msdb.dbo.backupset AS m)
                            AND s.backup_finish_date >= DATEADD(day, -35, GETDATE())
                            AND s.type IN ('D', 'I', 'L', 'F', 'G', 'P', 'Q')
                            AND s.is_snapshot = 0
                            AND s.server_name IN (@@SERVERNAME, CAST(SERVERPROPERTY('ServerName') AS nvarchar(128)))
                    ) AS b
                    INNER JOIN sys.databases AS d ON d.name = b.database_name COLLATE DATABASE_DEFAULT
                    WHERE d.is_encrypted = 1 AND b.backup_start_date >= d.create_date
                ) AS u
            ) AS e
        ) AS n
    ) AS g
    GROUP BY g.name, g.type
    ORDER BY g.name, g.type
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
-- unless trace flag 15025 is on; what is used, and what is left until the limit of its files, or until their volumes lend no further step of growth.
-- A file at its maximum, or without growth, lends nothing of its volume. Logs of one volume share its room; of several volumes, the first and the last
-- are named. On a secondary replica SQL Server shows the time of the last log backup alone. A database with AUTO_CLOSE is left out: to ask for its
-- log may open it, which needs the vault. A size of -1 is no limit.
-- Cost: a row for each open encrypted database; sys.dm_db_log_stats once for each. The worst is sys.dm_os_volume_stats: once for each file.
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
        v.last_volume AS last_volume,
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
        SELECT
            o.database_id AS database_id,
            MIN(o.volume_mount_point) AS volume,
            CASE WHEN MAX(o.volume_mount_point) > MIN(o.volume_mount_point) THEN MAX(o.volume_mount_point) END AS last_volume,
            SUM(CASE WHEN o.rest_kb <= o.available_kb THEN o.rest_kb ELSE o.available_kb - o.available_kb % NULLIF(o.step_kb, 0) END) AS disk_free_kb
        FROM (
            SELECT
                m.database_id AS database_id,
                s.volume_mount_point AS volume_mount_point,
                MIN(s.available_bytes) / 1024 AS available_kb,
                8 * SUM(CAST(CASE WHEN m.max_size = -1 THEN 268435456 ELSE m.max_size END AS bigint) - m.size) AS rest_kb,
                8 * MIN(CASE WHEN m.is_percent_growth = 1 THEN CAST(m.size AS bigint) * m.growth / 100 ELSE m.growth END) AS step_kb
            FROM sys.databases AS e
            INNER JOIN sys.master_files AS m ON m.database_id = e.database_id
            CROSS APPLY sys.dm_os_volume_stats(m.database_id, m.file_id) AS s
            WHERE e.is_encrypted = 1 AND e.state = 0 AND m.type = 1 AND m.growth <> 0 AND (m.max_size = -1 OR m.max_size > m.size)
            GROUP BY m.database_id, s.volume_mount_point
        ) AS o
        GROUP BY o.database_id
    ) AS v ON v.database_id = d.database_id
    WHERE d.is_encrypted = 1 AND d.state = 0 AND d.source_database_id IS NULL AND d.is_auto_close_on = 0 AND d.name <> N'tempdb'
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
-- Cost: one row; no view.
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

-- OPTIONAL. What one file of the error log shows, by code: that of a provider, known or not, in any language; that of SQL Server where none follows
-- (33027: the DLL was not loaded, 33111: a key is missing); and of failed backups (18204, 3041; `backup_of` begins with the name of the database).
-- The row `read` says what was asked for, and has the oldest line. Here it is the current file and 24 hours; `run` reads on from where it stopped,
-- and as many older files as it needs, at most six. The search begins two hours earlier, as local time may have had another offset.
-- SQL Server writes an error in two lines of the same time and process: number, severity and state, then the text. A text counts if it has the words
-- for a provider's code, or sends to the EKM provider behind a number, or if its first line has the number of a message about providers.
-- Cost: a row for each code and failed database, at most 1,000; SQL Server reads the file to its end, once. The worst is a file that never ends.
-- Right: EXECUTE on sys.xp_readerrorlog, and VIEW ANY ERROR LOG since 2022. Source: sys.xp_readerrorlog, which Microsoft does not document.
DECLARE @since datetime = DATEADD(hour, -2, DATEADD(minute, -1440, GETDATE())), @until datetime = DATEADD(hour, 24, GETDATE());
DECLARE @log TABLE (logged datetime, process nvarchar(100), line nvarchar(max));
INSERT INTO @log (logged, process, line)
EXEC master.sys.xp_readerrorlog 0, 1, NULL, NULL, @since, @until, N'desc';
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"errors","rows":', ISNULL((
    SELECT TOP (1000)
        c.code AS code,
        c.backup_of AS backup_of,
        COUNT(c.logged) AS lines,
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), MIN(c.logged)), 126) AS first_utc,
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), MAX(c.logged)), 126) AS last_utc,
        CASE WHEN c.code = 'read' THEN CONVERT(varchar(19), DATEADD(minute, -1440, GETUTCDATE()), 126) END AS since_utc
    FROM (
        SELECT CAST(NULL AS datetime) AS logged, 'read' AS code, CAST(NULL AS nvarchar(140)) AS backup_of
        UNION ALL
        SELECT l.logged AS logged, 'read' AS code, CAST(NULL AS nvarchar(140)) AS backup_of
        FROM @log AS l
        UNION ALL
        SELECT
            w.logged AS logged,
            CASE
                WHEN w.header IS NOT NULL THEN w.header
                WHEN w.backup_of IS NOT NULL THEN '3041'
                WHEN w.number NOT IN ('', '0') THEN w.number
                ELSE COALESCE(w.message, 'other')
            END AS code,
            CASE WHEN w.header IS NULL THEN w.backup_of END AS backup_of
        FROM (
            SELECT
                q.logged AS logged,
                q.header AS header,
                q.number AS number,
                q.names_provider AS names_provider,
                q.backup_of AS backup_of,
                MAX(CASE WHEN q.header NOT IN ('18204', '3041') THEN q.header END) OVER (PARTITION BY q.logged, q.process) AS message,
                MAX(q.is_backup) OVER (PARTITION BY q.logged, q.process) AS is_backup,
                MAX(CASE WHEN q.header IS NULL AND (q.number <> '' OR q.names_provider = 1) THEN 1 ELSE 0 END)
                    OVER (PARTITION BY q.logged, q.process) AS has_code,
                MAX(CASE WHEN q.header IS NULL AND q.backup_of IS NOT NULL THEN 1 ELSE 0 END)
                    OVER (PARTITION BY q.logged, q.process) AS has_backup
            FROM (
                SELECT
                    p.logged AS logged,
                    p.process AS process,
                    p.header AS header,
                    CAST(SUBSTRING(p.rest, 1, PATINDEX(N'%[^0-9]%', p.rest) - 1) AS varchar(20)) COLLATE DATABASE_DEFAULT AS number,
                    p.names_provider AS names_provider,
                    CASE WHEN p.names_provider = 0 THEN p.backup_of END AS backup_of,
                    CASE WHEN p.header = '3041' OR p.plain LIKE N'%backupfailedtocompletethecommand%' THEN 1 ELSE 0 END AS is_backup
                FROM (
                    SELECT
                        t.logged AS logged,
                        t.process AS process,
                        t.header AS header,
                        t.plain AS plain,
                        CONCAT(SUBSTRING(t.plain, CASE
                            WHEN t.plain LIKE N'%providererrorcode%' THEN CHARINDEX(N'providererrorcode', t.plain) + 18
                            ELSE PATINDEX(N'%:[0-9]%', CONCAT(t.plain, N':0')) + 1
                        END, 20), N'x') AS rest,
                        CASE
                            WHEN t.plain LIKE N'%providererrorcode%'
                                OR t.plain LIKE N'%anbieterfehlercode:[0-9]%'
                                OR t.plain LIKE N'%erreurdufournisseur:[0-9]%'
                                OR t.plain LIKE N'%errordelproveedor:[0-9]%'
                                OR t.plain LIKE N'%erroredelprovider:[0-9]%'
                                OR t.plain LIKE N'%errodoprovedor:[0-9]%'
                                OR t.plain LIKE N'%:[0-9]%.(%ekm%' THEN 1
                            ELSE 0
                        END AS names_provider,
                        CASE
                            WHEN CHARINDEX(N'BACKUP DATABASE ', t.line) > 0 THEN SUBSTRING(t.line, CHARINDEX(N'BACKUP DATABASE ', t.line) + 16, 140)
                            WHEN CHARINDEX(N'BACKUP LOG ', t.line) > 0 THEN SUBSTRING(t.line, CHARINDEX(N'BACKUP LOG ', t.line) + 11, 140)
                        END AS backup_of
                    FROM (
                        SELECT
                            l.logged AS logged,
                            l.process AS process,
                            l.line AS line,
                            LOWER(REPLACE(REPLACE(REPLACE(l.line, N' ', N''), NCHAR(160), N''), NCHAR(65306), N':'))
                                COLLATE Latin1_General_BIN2 AS plain,
                            CASE
                                WHEN CHARINDEX(N': ', l.line) > 20 OR l.line NOT LIKE N'%: [0-9]%: [0-9]%: [0-9]%' THEN NULL
                                WHEN SUBSTRING(l.line, CHARINDEX(N': ', l.line) + 2, 5) LIKE N'3041[^0-9]' THEN '3041'
                                WHEN SUBSTRING(l.line, CHARINDEX(N': ', l.line) + 2, 5) IN (
                                    N'18204', N'33027', N'33028', N'33029', N'33030', N'33031', N'33032', N'33035', N'33037', N'33039', N'33046',
                                    N'33047', N'33049', N'33067', N'33085', N'33111'
                                ) THEN CAST(SUBSTRING(l.line, CHARINDEX(N': ', l.line) + 2, 5) AS varchar(20))
                            END AS header
                        FROM @log AS l
                    ) AS t
                ) AS p
            ) AS q
        ) AS w
        WHERE w.header = '18204'
            OR (w.header = '3041' AND w.has_backup = 0)
            OR (w.header NOT IN ('18204', '3041') AND w.has_code = 0)
            OR (w.header IS NULL AND w.backup_of IS NOT NULL AND w.is_backup = 1)
            OR (w.header IS NULL AND w.backup_of IS NULL AND (w.names_provider = 1 OR (w.message IS NOT NULL AND w.number <> '')))
    ) AS c
    GROUP BY c.code, c.backup_of
    ORDER BY CASE c.code WHEN 'read' THEN 0 WHEN '3041' THEN 2 ELSE 1 END, MAX(c.logged) DESC
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
-- Cost: a row for each provider; asks each loaded DLL.
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

-- The extended-events session with each call to an EKM provider, if a DBA made one (trace-ekm.sql): found by what it records, under any name. One with
-- a predicate shows a part of the calls, and one that may keep events in memory for more than a minute (-1 and 0: without limit) shows them late; its
-- options cannot be altered while it runs. `file` is the one that its target writes now: SQL Server names it NAME_0_NUMBER.xel. In the folder of the
-- error log, no other instance has files.
-- Cost: one row at most; four views with some rows for each session.
-- Right: VIEW SERVER PERFORMANCE STATE (before 2022: VIEW SERVER STATE). Sources: sys.dm_xe_sessions, sys.server_event_sessions,
-- sys.dm_xe_session_events, sys.dm_xe_session_targets.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"trace","rows":', ISNULL((
    SELECT TOP (1)
        CONVERT(varchar(19), DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), n.create_time), 126) AS started_utc,
        n.dropped AS dropped,
        n.is_filtered AS is_filtered,
        n.is_delayed AS is_delayed,
        SUBSTRING(n.rest, 1, CHARINDEX(N'"', CONCAT(n.rest, N'"')) - 1) AS [file],
        CAST(SERVERPROPERTY('ErrorLogFileName') AS nvarchar(260)) AS error_log
    FROM (
        SELECT
            s.create_time AS create_time,
            CAST(s.dropped_event_count AS bigint) + s.dropped_buffer_count AS dropped,
            CASE WHEN e.event_predicate IS NULL THEN 0 ELSE 1 END AS is_filtered,
            CASE WHEN d.max_dispatch_latency BETWEEN 1 AND 60000 THEN 0 ELSE 1 END AS is_delayed,
            SUBSTRING(t.target_data, CHARINDEX(N'File name="', t.target_data) + 11, 260) AS rest
        FROM sys.dm_xe_sessions AS s
        INNER JOIN sys.dm_xe_session_events AS e ON e.event_session_address = s.address
        INNER JOIN sys.dm_xe_session_targets AS t ON t.event_session_address = s.address
        LEFT OUTER JOIN sys.server_event_sessions AS d ON d.name = s.name
        WHERE e.event_name = N'sec_ekm_provider_called' AND t.target_name = N'event_file' AND CHARINDEX(N'File name="', t.target_data) > 0
    ) AS n
    ORDER BY n.is_filtered, n.is_delayed, n.create_time
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS trace
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO

-- The calls in the files of that session: events as XML, which has UTC, since SQL Server 2016 shows no other time. `run` puts in the path, reads on
-- from the last file and offset, and reads all files anew if that file has rolled away. An event without its first 2,000 characters is not counted.
-- Cost: a row for each new call, at most 2,000; SQL Server reads the files from the offset to their end. The worst is the first time, with 10 MB.
-- Right: VIEW SERVER PERFORMANCE STATE (before 2022: VIEW SERVER STATE). Source: sys.fn_xe_file_target_read_file.
DECLARE @json nvarchar(max) = CONCAT(N'{"section":"calls","rows":', ISNULL((
    SELECT TOP (2000)
        SUBSTRING(f.event_data, 1, 2000) AS event,
        f.file_name AS [file],
        f.file_offset AS offset,
        1 AS anew
    FROM sys.fn_xe_file_target_read_file(N'ekm_calls_0_*.xel', NULL, NULL, NULL) AS f
    WHERE f.object_name = N'sec_ekm_provider_called'
    ORDER BY f.file_name, f.file_offset
    FOR JSON PATH
), N'[]'), N'}');
DECLARE @text nvarchar(max) = CONCAT(@json, SPACE(72 - LEN(@json) % 72), N'sha256:', CONVERT(varchar(64), HASHBYTES('SHA2_256', @json), 2));
WITH digit AS (SELECT v.n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n))
SELECT CONCAT(N'|', CONVERT(nvarchar(72), SUBSTRING(@text, 72 * l.n + 1, 72)), N'|') AS calls
FROM (
    SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM digit AS a CROSS JOIN digit AS b CROSS JOIN digit AS c CROSS JOIN digit AS d CROSS JOIN digit AS e
) AS l
WHERE @json IS NOT NULL AND 72 * l.n < LEN(@text)
ORDER BY l.n;
GO
