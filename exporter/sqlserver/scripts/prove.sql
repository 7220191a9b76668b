-- Proves on request that this node gets its keys from the vault. For each key in use it prints two statements, and runs nothing unless @run is 1.
--   ekm-exporter script prove.sql > prove.sql
--   sqlcmd -S n2 -E -W -w 65535 -i prove.sql   (sqlcmd 18: -C trusts a self-signed certificate)
-- Run it as a sysadmin on every node: a proof counts for its node alone. A key is in use if an open database is under it. Column `may_run` is 0 if
-- you lack a right or credential, if `names` below lacks the key, or if a name holds what sqlcmd or a query window would obey; `remark` says which.
--
-- Way 1 opens the key again under a temporary name, and drops that name.
--   Rights: CREATE ASYMMETRIC KEY in tempdb, and a credential of the provider on *your* login (column `your_credential`).
--   Shows: DLL, registry, proxy, network, Entra ID, the vault, the right to read the key, and the secret in the credential of *your* login.
--   Cannot show: unwrap, and the credential of the key's login, with which TDE signs in. A credential belongs to one login.
--   It is in tempdb because a database refuses a second asymmetric key of the same key (message 15396), and master has the first one.
-- Way 2 is a copy-only backup of the smallest database under the key, to NUL. It reads the whole database (column `size_mb`) and keeps nothing.
--   Rights: BACKUP DATABASE on that database, as members of db_backupoperator have it. A secondary replica allows it too, but shows the right in a
--   database that cannot be read there to nobody: only a sysadmin has it for certain.
--   Shows: all that a backup needs: the credential of the key's login, DLL, proxy, network, Entra ID, the vault and unwrap.
--   COPY_ONLY leaves the chain of backups alone. msdb records this backup, and nothing can be restored from it.
-- Neither way shows a new secret before `new_secret_from`, two hours after the last ALTER CREDENTIAL: until then a token of the old secret may serve.
-- The two hours are an assumption: Microsoft does not document how long a token is kept.
-- A backup of the *log* is no way: it frees the log, and what NUL got is lost, so every later log backup would be worthless until the next full one.
-- Drop only the temporary key, as below, and add no word to it: DROP ASYMMETRIC KEY has an option that deletes the key in the vault.
SET NOCOUNT ON;
DROP TABLE IF EXISTS #proof;

-- 1: you run the statements, one after the other, as yourself. No error after a statement means that it succeeded; the warning of DROP is normal.
DECLARE @run bit = 0;

WITH signs AS (
    SELECT
        N'%[' + NCHAR(1) + N'-' + NCHAR(31) + NCHAR(127) + N'-' + NCHAR(159) + NCHAR(8232) + NCHAR(8233) + N']%' AS control_characters,
        N'$' + N'(' AS variable, -- in two parts, so that sqlcmd does not replace it here
        N'RAISERROR(N''A name has a control character or a variable of sqlcmd: write this statement by hand.'', 16, 1);' AS refusal
),
names AS (
    -- For way 1, NAME/VERSION of each key in its vault, which no view of SQL Server shows: the end of KeyUri in the registry, under the thumbprint
    -- (ekm-exporter docs production). A bare name opens the newest version, which need not be the one in use. Builds before 1.0.5.0 accept no version.
    SELECT 0x0123456789ABCDEF0123456789ABCDEF01234567 AS thumbprint, N'ContosoRSAKey0/0123456789abcdef0123456789abcdef' AS provider_key_name
    -- UNION ALL SELECT 0x..., N'NAME/VERSION'
),
protected AS (
    SELECT
        k.encryptor_thumbprint AS thumbprint,
        d.name AS database_name,
        SUM(CAST(f.size AS bigint)) / 128 AS size_mb,
        ROW_NUMBER() OVER (PARTITION BY k.encryptor_thumbprint ORDER BY SUM(CAST(f.size AS bigint)), d.name) AS place
    FROM sys.dm_database_encryption_keys AS k
    INNER JOIN sys.databases AS d ON d.database_id = k.database_id
    INNER JOIN sys.master_files AS f ON f.database_id = d.database_id
    WHERE k.encryptor_type = N'ASYMMETRIC KEY'
        AND d.name <> N'tempdb'
        AND d.state = 0
        AND d.source_database_id IS NULL
        AND f.type_desc = N'ROWS'
    GROUP BY k.encryptor_thumbprint, d.name
),
key_dates AS (
    SELECT s.sid, MAX(c.modify_date) AS altered -- of the key's login
    FROM sys.server_principals AS s
    INNER JOIN sys.server_principal_credentials AS m ON m.principal_id = s.principal_id
    INNER JOIN sys.credentials AS c ON c.credential_id = m.credential_id
    WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER'
    GROUP BY s.sid
),
credential_dates AS ( -- of the provider, if no SID shows the key's login
    SELECT c.target_id AS provider_id, MAX(c.modify_date) AS altered
    FROM sys.credentials AS c
    WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER'
    GROUP BY c.target_id
),
yours AS (
    SELECT c.target_id AS provider_id, c.name AS credential_name
    FROM sys.server_principal_credentials AS m
    INNER JOIN sys.credentials AS c ON c.credential_id = m.credential_id
    WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER' AND m.principal_id = SUSER_ID()
),
used AS (
    SELECT
        a.name AS key_name,
        a.thumbprint,
        p.name AS provider_name,
        n.provider_key_name,
        y.credential_name AS your_credential,
        b.database_name,
        b.size_mb,
        DATEADD(hour, 2, COALESCE(o.altered, t.altered)) AS new_secret_from,
        N'ekm_proof_' + SUBSTRING(a.name, 1, 100) AS temporary_name
    FROM protected AS b
    INNER JOIN master.sys.asymmetric_keys AS a ON a.thumbprint = b.thumbprint
    INNER JOIN sys.cryptographic_providers AS p ON p.guid = a.cryptographic_provider_guid
    LEFT JOIN key_dates AS o ON o.sid = a.sid
    LEFT JOIN credential_dates AS t ON t.provider_id = p.provider_id
    LEFT JOIN yours AS y ON y.provider_id = p.provider_id
    LEFT JOIN names AS n ON n.thumbprint = a.thumbprint
    WHERE b.place = 1 AND a.provider_type = N'CRYPTOGRAPHIC PROVIDER'
),
ways AS (
    SELECT
        1 AS way,
        u.key_name,
        u.thumbprint,
        u.your_credential,
        CAST(NULL AS nvarchar(128)) AS database_name,
        CAST(NULL AS bigint) AS size_mb,
        u.new_secret_from,
        CASE
            WHEN u.provider_key_name IS NULL THEN N'write NAME/VERSION into `names`'
            WHEN u.your_credential IS NULL THEN N'your login has no credential of this provider'
            WHEN COALESCE(HAS_PERMS_BY_NAME(N'tempdb', N'DATABASE', N'CREATE ASYMMETRIC KEY'), 0) = 0 THEN N'you lack the right'
        END AS remark,
        N'USE tempdb; CREATE ASYMMETRIC KEY ' + QUOTENAME(u.temporary_name)
        + N' FROM PROVIDER ' + QUOTENAME(u.provider_name)
        + N' WITH PROVIDER_KEY_NAME = ''' + REPLACE(COALESCE(u.provider_key_name, N'NAME/VERSION'), N'''', N'''''')
        + N''', CREATION_DISPOSITION = OPEN_EXISTING; IF ASYMKEY_ID(N''' + REPLACE(u.temporary_name, N'''', N'''''')
        + N''') IS NOT NULL DROP ASYMMETRIC KEY ' + QUOTENAME(u.temporary_name) + N';' AS statement_to_run
    FROM used AS u
    UNION ALL
    SELECT
        2 AS way,
        u.key_name,
        u.thumbprint,
        CAST(NULL AS nvarchar(128)) AS your_credential,
        u.database_name,
        u.size_mb,
        u.new_secret_from,
        CASE
            WHEN IS_SRVROLEMEMBER(N'sysadmin') = 1 THEN NULL
            WHEN HAS_PERMS_BY_NAME(QUOTENAME(u.database_name), N'DATABASE', N'BACKUP DATABASE') = 0 THEN N'you lack the right'
            WHEN HAS_PERMS_BY_NAME(QUOTENAME(u.database_name), N'DATABASE', N'BACKUP DATABASE') IS NULL
                THEN N'the database does not show your right, as one that cannot be read here: run this as a sysadmin'
        END AS remark,
        N'BACKUP DATABASE ' + QUOTENAME(u.database_name) + N' TO DISK = N''NUL'' WITH COPY_ONLY;' AS statement_to_run
    FROM used AS u
)
SELECT
    ROW_NUMBER() OVER (ORDER BY w.key_name, w.way) AS number,
    w.key_name,
    CONVERT(varchar(100), w.thumbprint, 1) AS thumbprint,
    w.way,
    w.your_credential,
    w.database_name,
    w.size_mb,
    w.new_secret_from,
    CASE WHEN s.refusal IS NULL AND w.remark IS NULL THEN 1 ELSE 0 END AS may_run,
    CASE WHEN s.refusal IS NULL THEN w.remark ELSE N'a name has what sqlcmd would obey' END AS remark,
    CAST(COALESCE(s.refusal, w.statement_to_run) AS nvarchar(2000)) AS statement_to_run
INTO #proof
FROM ways AS w
LEFT JOIN signs AS s
    ON PATINDEX(s.control_characters COLLATE Latin1_General_BIN2, w.statement_to_run) > 0
    OR CHARINDEX(s.variable COLLATE Latin1_General_BIN2, w.statement_to_run) > 0;

SELECT
    r.key_name,
    r.thumbprint,
    r.way,
    r.your_credential,
    r.database_name,
    r.size_mb,
    r.new_secret_from,
    r.may_run,
    r.remark,
    r.statement_to_run
FROM #proof AS r
ORDER BY r.number;

-- Each statement is a batch of its own: after an error, the next one still runs.
DECLARE @number int = 1, @statement nvarchar(2000);
WHILE @run = 1 AND @number <= (SELECT COUNT(*) FROM #proof)
BEGIN
    SET @statement = COALESCE(
        (SELECT r.statement_to_run FROM #proof AS r WHERE r.number = @number AND r.may_run = 1),
        (SELECT CONCAT(N'PRINT N''Way ', r.way, N' did not run: ', r.remark, N'.'';') FROM #proof AS r WHERE r.number = @number)
    );
    PRINT @statement;
    EXEC sys.sp_executesql @statement;
    SET @number = @number + 1;
END;
GO
