-- Makes the login of `ekm-exporter run` and of the inventory, with the least rights. It reads metadata, and no data of any database. Run as a
-- member of sysadmin on every node: logins do not move with an availability group. Replace the name; a SQL login works the same way. It may run again.
-- The inventory needs parts 1 and 2; `run` needs part 3 too, and part 4 shows it the error log.
USE master;
GO

-- 1. The login, and what exists: credentials, availability groups, asymmetric keys and files. They show names and dates; SQL Server never shows a
-- credential's secret. For the inventory of a SQL Server 2022 or later without availability groups, VIEW ANY SECURITY DEFINITION is enough instead.
IF SUSER_ID(N'CONTOSO\ekmexporter$') IS NULL
    CREATE LOGIN [CONTOSO\ekmexporter$] FROM WINDOWS;
GO

GRANT VIEW ANY DEFINITION TO [CONTOSO\ekmexporter$];
-- States of all databases. Every login has this right, unless it was revoked from public.
GRANT VIEW ANY DATABASE TO [CONTOSO\ekmexporter$];
GO

-- 2. What runs: loaded DLL, encryption keys, logs and volumes, and for verify.sql sys.dm_os_sys_info. SQL Server 2022 (16) split the old right in two.
DECLARE @grants nvarchar(400) = CASE
    WHEN CAST(SERVERPROPERTY('ProductMajorVersion') AS int) >= 16
    THEN N'GRANT VIEW SERVER PERFORMANCE STATE TO [CONTOSO\ekmexporter$]; GRANT VIEW SERVER SECURITY STATE TO [CONTOSO\ekmexporter$];'
    ELSE N'GRANT VIEW SERVER STATE TO [CONTOSO\ekmexporter$];'
END;
EXEC sys.sp_executesql @grants;
GO

-- 3. Which backups finished, for `run`. The login becomes a user of msdb, with the right to read this one table: names, times and sizes of backups.
USE msdb;
GO

IF USER_ID(N'CONTOSO\ekmexporter$') IS NULL
    CREATE USER [CONTOSO\ekmexporter$] FOR LOGIN [CONTOSO\ekmexporter$];
GRANT SELECT ON dbo.backupset TO [CONTOSO\ekmexporter$];
GO

USE master;
GO

-- 4. OPTIONAL, for the codes in the error log (mssql_ekm_error_log_lines) only: the inventory never reads the error log. The login may then read the
-- whole log. To grant it, remove the two comment marks. Before 2022, sp_readerrorlog would need the role securityadmin, whose members can give
-- themselves any right: do not use it for this. The procedure needs a grant to a user of master.
/*
IF USER_ID(N'CONTOSO\ekmexporter$') IS NULL
    CREATE USER [CONTOSO\ekmexporter$] FOR LOGIN [CONTOSO\ekmexporter$];
GRANT EXECUTE ON sys.xp_readerrorlog TO [CONTOSO\ekmexporter$];
IF CAST(SERVERPROPERTY('ProductMajorVersion') AS int) >= 16
    EXEC sys.sp_executesql N'GRANT VIEW ANY ERROR LOG TO [CONTOSO\ekmexporter$];';
*/

-- The rights that the login has now.
SELECT p.permission_name, p.state_desc
FROM sys.server_permissions AS p
WHERE p.grantee_principal_id = SUSER_ID(N'CONTOSO\ekmexporter$')
ORDER BY p.permission_name;
GO
