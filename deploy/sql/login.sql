-- The login of the collector or of the inventory, with the least rights: it reads metadata, and no data of any database. Run as a member of
-- sysadmin on every node: logins do not move with an availability group. Replace the name; a SQL login works the same way. It may run again.
USE master;
GO

IF SUSER_ID(N'CONTOSO\sqlexporter$') IS NULL
    CREATE LOGIN [CONTOSO\sqlexporter$] FROM WINDOWS;
GO

-- Credentials, availability groups and asymmetric keys. They show names and dates; SQL Server never shows a credential's secret. For the
-- inventory of a SQL Server 2022 or later without availability groups, VIEW ANY SECURITY DEFINITION is enough instead.
GRANT VIEW ANY DEFINITION TO [CONTOSO\sqlexporter$];
-- States of all databases. Every login has this right, unless it was revoked from public.
GRANT VIEW ANY DATABASE TO [CONTOSO\sqlexporter$];
GO

-- sys.dm_os_sys_info, sys.dm_os_loaded_modules and sys.dm_database_encryption_keys. SQL Server 2022 (16) split the old right in two.
DECLARE @grants nvarchar(400) = CASE
    WHEN CAST(SERVERPROPERTY('ProductMajorVersion') AS int) >= 16
    THEN N'GRANT VIEW SERVER PERFORMANCE STATE TO [CONTOSO\sqlexporter$]; GRANT VIEW SERVER SECURITY STATE TO [CONTOSO\sqlexporter$];'
    ELSE N'GRANT VIEW SERVER STATE TO [CONTOSO\sqlexporter$];'
END;
EXEC sys.sp_executesql @grants;
GO

-- OPTIONAL, for the collector's mssql_ekm_error_log_lines only: the inventory never reads the error log. The login may then read the whole log. To
-- grant it, remove the two comment marks. Before 2022, sp_readerrorlog would need the role securityadmin, whose members can give
-- themselves any right: do not use it for this. The procedure needs a grant to a user of master.
/*
IF USER_ID(N'CONTOSO\sqlexporter$') IS NULL
    CREATE USER [CONTOSO\sqlexporter$] FOR LOGIN [CONTOSO\sqlexporter$];
GRANT EXECUTE ON sys.xp_readerrorlog TO [CONTOSO\sqlexporter$];
IF CAST(SERVERPROPERTY('ProductMajorVersion') AS int) >= 16
    EXEC sys.sp_executesql N'GRANT VIEW ANY ERROR LOG TO [CONTOSO\sqlexporter$];';
*/

-- The rights that the login has now.
SELECT p.permission_name, p.state_desc
FROM sys.server_permissions AS p
WHERE p.grantee_principal_id = SUSER_ID(N'CONTOSO\sqlexporter$')
ORDER BY p.permission_name;
GO
