-- Makes the login of `ekm-exporter run` and of the inventory, with the least rights. It reads metadata, and no data of any database. Write your name
-- into the first line below, and run it as a member of sysadmin on every node: logins do not move with an availability group. It may run again.
--   sqlcmd -S n1 -E -b -W -i login.sql   (sqlcmd 18: -C trusts a self-signed certificate)
-- grant-login.ps1 runs it on many servers. The inventory needs parts 1 and 2; `run` needs part 3 too. Parts 4 and 5 are optional.
DECLARE @login sysname = N'CONTOSO\ekmexporter$';
DECLARE @from nvarchar(600) = N'FROM WINDOWS'; -- for a SQL login: N'WITH PASSWORD = N''...'''
DECLARE @error_log bit = 0; -- 1: part 4
DECLARE @registry bit = 0; -- 1: part 5

DECLARE @name nvarchar(258) = QUOTENAME(@login);
DECLARE @version int = CAST(SERVERPROPERTY('ProductMajorVersion') AS int);
DECLARE @statement nvarchar(max), @user sysname;

-- 1. The login, and what exists: credentials, availability groups, asymmetric keys and files. They show names and dates; SQL Server never shows a
-- credential's secret. For the inventory of a SQL Server 2022 or later without availability groups, VIEW ANY SECURITY DEFINITION is enough instead.
-- VIEW ANY DATABASE shows the states of all databases. Every login has this right, unless it was revoked from public.
SET @statement = CASE WHEN SUSER_ID(@login) IS NULL THEN REPLACE(N'CREATE LOGIN {login} ', N'{login}', @name) + @from ELSE N'' END;
EXEC master.sys.sp_executesql @statement;
SET @statement = REPLACE(N'GRANT VIEW ANY DEFINITION TO {login}; GRANT VIEW ANY DATABASE TO {login};', N'{login}', @name);
EXEC master.sys.sp_executesql @statement;

-- 2. What runs: loaded DLL, encryption keys, logs, volumes and nodes of a cluster, and for verify.sql sys.dm_os_sys_info. SQL Server 2022 (16) split
-- the old right in two.
SET @statement = REPLACE(CASE
    WHEN @version >= 16 THEN N'GRANT VIEW SERVER PERFORMANCE STATE TO {login}; GRANT VIEW SERVER SECURITY STATE TO {login};'
    ELSE N'GRANT VIEW SERVER STATE TO {login};'
END, N'{login}', @name);
EXEC master.sys.sp_executesql @statement;

-- 3. Which backups finished, for `run`. The login becomes a user of msdb, with the right to read this one table: names, times and sizes of backups.
-- If it is one already, under any name, that user gets the right. The owner of msdb has it.
SET @user = (SELECT p.name FROM msdb.sys.database_principals AS p WHERE p.sid = SUSER_SID(@login));
SET @statement = CASE WHEN @user IS NULL THEN REPLACE(N'CREATE USER {login} FOR LOGIN {login};', N'{login}', @name) ELSE N'' END;
EXEC msdb.sys.sp_executesql @statement;
SET @user = COALESCE(@user, @login);
SET @statement = REPLACE(CASE
    WHEN @user = N'dbo' THEN N''
    ELSE N'GRANT SELECT ON dbo.backupset TO {login};'
END, N'{login}', QUOTENAME(@user));
EXEC msdb.sys.sp_executesql @statement;

-- In the same way, parts 4 and 5 need a user of master.
SET @user = (SELECT p.name FROM master.sys.database_principals AS p WHERE p.sid = SUSER_SID(@login));
SET @statement = CASE
    WHEN @user IS NULL AND (@error_log = 1 OR @registry = 1) THEN REPLACE(N'CREATE USER {login} FOR LOGIN {login};', N'{login}', @name)
    ELSE N''
END;
EXEC master.sys.sp_executesql @statement;
SET @user = COALESCE(@user, @login);

-- 4. OPTIONAL, for the codes in the error log (mssql_ekm_error_log_lines) only: the inventory never reads the error log. The login may then read the
-- whole log. Before 2022, sp_readerrorlog would need the role securityadmin, whose members can give themselves any right: do not use it for this.
SET @statement = REPLACE(CASE
    WHEN @error_log = 0 OR @user = N'dbo' THEN N''
    ELSE N'GRANT EXECUTE ON sys.xp_readerrorlog TO {login};'
END, N'{login}', QUOTENAME(@user));
EXEC master.sys.sp_executesql @statement;
SET @statement = REPLACE(CASE WHEN @error_log = 1 AND @version >= 16 THEN N'GRANT VIEW ANY ERROR LOG TO {login};' ELSE N'' END, N'{login}', @name);
EXEC master.sys.sp_executesql @statement;

-- 5. OPTIONAL, for KeyUri in the registry of the host, on one server of each key. Microsoft ships these two procedures and documents neither; both
-- only read. SQL Server may still refuse the path to a login that is not a sysadmin: then compare public keys, or run reg query on the host.
SET @statement = REPLACE(CASE
    WHEN @registry = 0 OR @user = N'dbo' THEN N''
    ELSE N'GRANT EXECUTE ON sys.xp_regenumkeys TO {login}; GRANT EXECUTE ON sys.xp_regread TO {login};'
END, N'{login}', QUOTENAME(@user));
EXEC master.sys.sp_executesql @statement;

-- The rights that the login has now on this server.
SELECT p.permission_name, p.state_desc
FROM sys.server_permissions AS p
WHERE p.grantee_principal_id = SUSER_ID(@login)
ORDER BY p.permission_name;
GO
