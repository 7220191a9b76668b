-- Writes one ALTER CREDENTIAL for each credential of an EKM provider on this node: there may be one for each login, and one that is
-- forgotten keeps the old secret. It changes nothing itself. What it writes holds no secret but the variable $(EKM_SECRET), so it can be
-- read, kept and reviewed; sqlcmd fills the variable in from its environment. In PowerShell, node by node:
--
--   sqlcmd -S n2 -E -h -1 -W -w 65535 -i alter-credential.sql -o alter-n2.sql
--   Get-Content alter-n2.sql                        # only the credentials that you mean?
--   $env:EKM_SECRET = Get-Content .\secrets\ekm-credential-2027 -TotalCount 1
--   sqlcmd -S n2 -E -b -i alter-n2.sql
--   Remove-Item Env:EKM_SECRET
--
-- Never with -e, which prints what it runs, nor with -v, which puts the secret on the command line. SQL Server keeps the text of ALTER
-- CREDENTIAL out of its traces, which is why the statements stand in batches of their own and no variable of T-SQL holds the secret.
-- A single quote within the secret has to be doubled. The identity is repeated because ALTER CREDENTIAL resets what it is not told.
-- Then restart the service, and run verify.sql.
SET NOCOUNT ON;

SELECT CAST(
    N'ALTER CREDENTIAL ' + QUOTENAME(c.name)
    + N' WITH IDENTITY = N''' + REPLACE(c.credential_identity, N'''', N'''''') + N''''
    -- in two parts, so that sqlcmd does not fill it in here
    + N', SECRET = N''$' + N'(EKM_SECRET)'';'
    + NCHAR(13) + NCHAR(10) + N'GO' AS nvarchar(4000)) AS statement_to_run
FROM sys.credentials AS c
INNER JOIN sys.cryptographic_providers AS p ON p.provider_id = c.target_id
WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER'
    AND c.credential_identity <> N'Managed Identity'
    -- With more than one provider, or vaults that have other applications, say which:
    -- AND p.name = N'AzureKeyVault_EKM_Prov' AND c.credential_identity = N'contoso-prod'
ORDER BY c.name;
GO
