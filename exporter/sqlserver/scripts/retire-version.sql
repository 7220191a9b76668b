-- Lists what still needs an old key version. Run as a sysadmin on every node, with the thumbprint of the old version below. It changes nothing.
--   sqlcmd -S n1 -E -W -i retire-version.sql   (sqlcmd 18: -C trusts a self-signed certificate)
-- ekm-exporter docs key-rotation#may-this-old-version-go explains the parts. Every part except 4 must be empty before the version is disabled.
SET NOCOUNT ON;
EXEC sys.sp_set_session_context @key = N'old', @value = 0x0123456789ABCDEF0123456789ABCDEF01234567;
GO

-- 1. Databases whose encryption key this version protects, and databases that are not open and therefore cannot be checked. With AUTO_CLOSE, a
-- database is online, but closed until its next use.
SELECT
    d.name AS database_name,
    d.state_desc,
    CASE
        WHEN d.state <> 0 THEN 'not online: cannot be checked'
        WHEN k.database_id IS NULL THEN 'encrypted, but not open: use it, and run this again'
        ELSE 'under the old version'
    END AS finding
FROM sys.databases AS d
LEFT JOIN sys.dm_database_encryption_keys AS k ON k.database_id = d.database_id
WHERE k.encryptor_thumbprint = CONVERT(varbinary(32), SESSION_CONTEXT(N'old'))
    OR d.state <> 0
    OR (d.is_encrypted = 1 AND k.database_id IS NULL AND d.name <> N'tempdb')
ORDER BY d.name;
GO

-- 2. Log files (.ldf) with virtual log files (VLF) that this version protects (SQL Server 2019 and later; an older server reports an invalid column).
-- `vlf_active` 1 is needed now. Log backups free the active VLFs; the inactive ones are overwritten later.
SELECT
    d.name AS database_name,
    l.file_id,
    l.vlf_active,
    COUNT_BIG(*) AS parts
FROM sys.databases AS d
CROSS APPLY sys.dm_db_log_info(d.database_id) AS l
WHERE d.state = 0
    AND l.vlf_encryptor_thumbprint = CONVERT(varbinary(32), SESSION_CONTEXT(N'old'))
GROUP BY d.name, l.file_id, l.vlf_active
ORDER BY d.name, l.file_id;
GO

-- 3. Backups on record, oldest first. msdb does not store the thumbprint of a database under TDE: run each statement and compare its
-- column TDEThumbprint. A backup that was itself encrypted with this key (WITH ENCRYPTION) is marked.
WITH signs AS (
    SELECT
        N'%[' + NCHAR(1) + N'-' + NCHAR(31) + NCHAR(127) + N'-' + NCHAR(159) + NCHAR(8232) + NCHAR(8233) + N']%' AS control_characters,
        N'$' + N'(' AS variable, -- in two parts, so that sqlcmd does not replace it here
        N'RAISERROR(N''A name has a control character or a variable of sqlcmd: write this statement by hand.'', 16, 1);' AS refusal
)
SELECT
    b.database_name,
    b.type AS backup_type,
    b.backup_finish_date,
    CASE
        WHEN b.encryptor_thumbprint = CONVERT(varbinary(32), SESSION_CONTEXT(N'old')) THEN 'encrypted with the old version'
        ELSE 'run the statement'
    END AS finding,
    COALESCE(
        s.refusal,
        N'RESTORE FILELISTONLY FROM ' + CASE WHEN m.device_type = 9 THEN N'URL' ELSE N'DISK' END
        + N' = N''' + REPLACE(m.physical_device_name, N'''', N'''''') + N''' WITH FILE = '
        + CAST(b.position AS nvarchar(10)) + N';'
    ) AS statement_to_run
FROM msdb.dbo.backupset AS b
INNER JOIN msdb.dbo.backupmediafamily AS m ON m.media_set_id = b.media_set_id AND m.family_sequence_number = 1
LEFT JOIN sys.databases AS d ON d.name = b.database_name COLLATE DATABASE_DEFAULT
LEFT JOIN signs AS s
    ON PATINDEX(s.control_characters COLLATE Latin1_General_BIN2, m.physical_device_name) > 0
    OR CHARINDEX(s.variable COLLATE Latin1_General_BIN2, m.physical_device_name) > 0
-- encrypted today, or no longer on this server
WHERE d.is_encrypted = 1
    OR d.name IS NULL
    OR b.encryptor_thumbprint = CONVERT(varbinary(32), SESSION_CONTEXT(N'old'))
ORDER BY b.backup_finish_date;
GO

-- 4. The asymmetric key of this version, its login and credential. Keep them as long as a backup needs the version: a restore uses them.
-- If SQL Server shows no SID of the key, each login that was made from an asymmetric key may be its own.
SELECT
    a.name AS asymmetric_key_name,
    s.name AS login_name,
    c.name AS credential_name
FROM master.sys.asymmetric_keys AS a
LEFT JOIN sys.server_principals AS s ON s.sid = a.sid OR (a.sid IS NULL AND s.type = 'K')
LEFT JOIN sys.server_principal_credentials AS m ON m.principal_id = s.principal_id
LEFT JOIN sys.credentials AS c ON c.credential_id = m.credential_id
WHERE a.thumbprint = CONVERT(varbinary(32), SESSION_CONTEXT(N'old'));
GO

-- 5. Symmetric keys of the current database under this version (column encryption). Run it with -d for each database that has such keys.
SELECT DB_NAME() AS database_name, y.name AS symmetric_key_name
FROM sys.key_encryptions AS e
INNER JOIN sys.symmetric_keys AS y ON y.symmetric_key_id = e.key_id
WHERE e.thumbprint = CONVERT(varbinary(32), SESSION_CONTEXT(N'old'));
GO
