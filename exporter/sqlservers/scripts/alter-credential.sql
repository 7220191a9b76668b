-- Writes one ALTER CREDENTIAL for each credential of an EKM provider on this node. Each login may have one, and a forgotten one keeps
-- the old secret. The script changes nothing. Its output holds the variable $(EKM_SECRET) instead of a secret, so the output can be read,
-- kept and reviewed. sqlcmd replaces the variable from its environment. In PowerShell, node by node:
--
--   sqlcmd -S n2 -E -h -1 -W -w 65535 -i alter-credential.sql -o alter-n2.sql   (sqlcmd 18: -C trusts a self-signed certificate)
--   Get-Content alter-n2.sql                        # check: only the credentials to change?
--   $env:EKM_SECRET = Get-Content .\secrets\ekm-credential-2027 -TotalCount 1
--   sqlcmd -S n2 -E -b -i alter-n2.sql
--   Remove-Item Env:EKM_SECRET
--
-- Never add -e, which prints each statement, or -v, which puts the secret on the command line. SQL Server keeps the text of ALTER
-- CREDENTIAL out of its traces. So each statement is a batch of its own, and no T-SQL variable holds the secret.
-- Double a single quote within the secret. The identity is repeated because ALTER CREDENTIAL empties a part that is left out.
-- Then prove the new secret: prove.sql two hours later, without a restart; or a restart, and verify.sql.
SET NOCOUNT ON;

SELECT CAST(
    N'ALTER CREDENTIAL ' + QUOTENAME(c.name)
    + N' WITH IDENTITY = N''' + REPLACE(c.credential_identity, N'''', N'''''') + N''''
    -- in two parts, so that sqlcmd does not replace it here
    + N', SECRET = N''$' + N'(EKM_SECRET)'';'
    + NCHAR(13) + NCHAR(10) + N'GO' AS nvarchar(4000)) AS statement_to_run
FROM sys.credentials AS c
INNER JOIN sys.cryptographic_providers AS p ON p.provider_id = c.target_id
WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER'
    AND c.credential_identity <> N'Managed Identity'
    -- With several providers, or vaults of other applications, filter here:
    -- AND p.name = N'AzureKeyVault_EKM_Prov' AND c.credential_identity = N'contoso-prod'
ORDER BY c.name;
GO
