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
-- Never add -e, which prints each statement, or -v, which puts the secret on the command line. -X and -X1 do not go with it either: they keep
-- the environment, and so the secret, from sqlcmd. SQL Server keeps the text of ALTER CREDENTIAL out of its traces. So each statement is a batch
-- of its own, and no T-SQL variable holds the secret.
-- sqlcmd obeys lines that begin with :, !! or GO, within a name too, and replaces its variables there. So a name or identity with a control
-- character, a line break or the beginning of a variable gets no statement. In its place, and before all others, stands one that fails, and -b
-- ends there.
-- The secret is the client id without hyphens, then the secret's value, in one line. Double a single quote within it.
-- A secret that is overwritten cannot be read back: where applications or vaults differ, set the filter at the end first.
-- The identity is repeated because ALTER CREDENTIAL empties a part that is left out.
-- Then prove the new secret: prove.sql two hours later, without a restart; or a restart, and verify.sql.
SET NOCOUNT ON;

WITH signs AS (
    SELECT
        N'%[' + NCHAR(1) + N'-' + NCHAR(31) + NCHAR(127) + N'-' + NCHAR(159) + NCHAR(8232) + NCHAR(8233) + N']%' AS control_characters,
        N'$' + N'(' AS variable, -- in two parts, so that sqlcmd does not replace it here
        N'RAISERROR(N''A name has a control character or a variable of sqlcmd: write this statement by hand.'', 16, 1);' AS refusal
)
SELECT CAST(
    COALESCE(
        s.refusal,
        N'ALTER CREDENTIAL ' + QUOTENAME(c.name)
        + N' WITH IDENTITY = N''' + REPLACE(c.credential_identity, N'''', N'''''') + N''''
        + N', SECRET = N''$' + N'(EKM_SECRET)'';'
    )
    + NCHAR(13) + NCHAR(10) + N'GO' AS nvarchar(4000)) AS statement_to_run
FROM sys.credentials AS c
INNER JOIN sys.cryptographic_providers AS p ON p.provider_id = c.target_id
LEFT JOIN signs AS s
    ON PATINDEX(s.control_characters COLLATE Latin1_General_BIN2, c.name) > 0
    OR PATINDEX(s.control_characters COLLATE Latin1_General_BIN2, c.credential_identity) > 0
    OR CHARINDEX(s.variable COLLATE Latin1_General_BIN2, c.name) > 0
    OR CHARINDEX(s.variable COLLATE Latin1_General_BIN2, c.credential_identity) > 0
WHERE c.target_type = N'CRYPTOGRAPHIC PROVIDER'
    AND c.credential_identity <> N'Managed Identity'
    -- With several providers, or vaults of other applications, filter here:
    -- AND p.name = N'AzureKeyVault_EKM_Prov' AND c.credential_identity = N'contoso-prod'
ORDER BY CASE WHEN s.refusal IS NULL THEN 1 ELSE 0 END, c.name;
GO
