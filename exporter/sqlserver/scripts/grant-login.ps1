<#
.SYNOPSIS
Makes the exporter's login on many SQL Servers: it runs login.sql on each of them.

.DESCRIPTION
Run it as a member of sysadmin of the servers, next to login.sql, which lists the rights. It prints a row for each server, goes on after a failure,
and ends with exit code 1 if a server failed. It may run again. With -WhatIf it connects to no server.

.EXAMPLE
.\grant-login.ps1 -Name 'CONTOSO\ekmexporter$' -ServerFile servers.txt -WhatIf

.EXAMPLE
.\grant-login.ps1 -Name ekmexporter -Password (Read-Host -AsSecureString) -Configuration ekm.yml
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    # The login: a Windows account, or with -Password a SQL login.
    [Parameter(Mandatory = $true)] [ValidateLength(1, 128)] [string] $Name,
    # Server names as for sqlcmd: n1, n1\SQLPRD01 or n1,1433.
    [string[]] $Instance = @(),
    # A file with one name a line, as for `ekm-exporter inventory --servers`.
    [string] $ServerFile,
    # A configuration: each `address` of its sql_servers. Files that it includes do not count.
    [string] $Configuration,
    # Makes a SQL login with this password.
    [securestring] $Password,
    # Part 4 of login.sql: the error log.
    [switch] $ErrorLog,
    # Part 5 of login.sql: KeyUri in the registry.
    [switch] $Registry,
    # A SQL login that is a sysadmin. Without it, your Windows account signs in.
    [pscredential] $Login,
    # Accept the server's self-signed certificate.
    [switch] $TrustServerCertificate,
    # Seconds for the connection, and for the script.
    [int] $Timeout = 15
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$address = '(?<![\w-])address:\s*(?:"([^"]*)"|''([^'']*)''|([^\s,}#]+(?:,\d+)?))'

function ConvertTo-SqlText([string] $Text) {
    return "N'" + $Text.Replace("'", "''") + "'"
}

# The script with this value in the line of a variable at its top.
function Set-ScriptValue([string] $Script, [string] $Variable, [string] $Value) {
    $line = [regex] "(?m)^(DECLARE @$Variable \w+(?:\(\d+\))? = ).*?;"
    if ($line.Matches($Script).Count -ne 1) { throw "login.sql has no line for @$Variable" }
    return $line.Replace($Script, { param($found) $found.Groups[1].Value + $Value + ';' })
}

function Read-Script {
    $script = [System.IO.File]::ReadAllText((Join-Path $PSScriptRoot 'login.sql'))
    $script = Set-ScriptValue $script 'login' (ConvertTo-SqlText $Name)
    if ($null -ne $Password) {
        $plain = (New-Object System.Net.NetworkCredential '', $Password).Password
        $script = Set-ScriptValue $script 'from' (ConvertTo-SqlText ('WITH PASSWORD = ' + (ConvertTo-SqlText $plain)))
    }
    if ($ErrorLog) { $script = Set-ScriptValue $script 'error_log' '1' }
    if ($Registry) { $script = Set-ScriptValue $script 'registry' '1' }
    return $script -replace '(?m)^GO\s*$', ''
}

function Read-Name {
    $Instance
    if ($ServerFile) {
        Get-Content -LiteralPath $ServerFile | ForEach-Object { ($_ -split '#')[0].Trim() } | Where-Object { $_ }
    }
    if ($Configuration) {
        foreach ($line in Get-Content -LiteralPath $Configuration) {
            foreach ($found in [regex]::Matches(($line -replace '(^|\s)#.*$', ''), $address)) {
                $found.Groups[1].Value.Replace('\\', '\') + $found.Groups[2].Value + $found.Groups[3].Value
            }
        }
    }
}

function Open-Instance([string] $Server) {
    $builder = New-Object System.Data.SqlClient.SqlConnectionStringBuilder
    $builder['Data Source'] = $Server
    $builder['Initial Catalog'] = 'master'
    $builder['Application Name'] = 'ekm-exporter grant-login'
    $builder['Connect Timeout'] = $Timeout
    $builder['Encrypt'] = $true
    $builder['TrustServerCertificate'] = $TrustServerCertificate.IsPresent
    $builder['Integrated Security'] = ($null -eq $Login)
    $connection = New-Object System.Data.SqlClient.SqlConnection $builder.ConnectionString
    if ($null -ne $Login) {
        $secret = $Login.Password.Copy()
        $secret.MakeReadOnly()
        $connection.Credential = New-Object System.Data.SqlClient.SqlCredential $Login.UserName, $secret
    }
    $connection.Open()
    return $connection
}

# Runs the script; returns the rights of the login, which the script lists last.
function Add-Login([string] $Server) {
    $connection = Open-Instance $Server
    try {
        $command = $connection.CreateCommand()
        $command.CommandText = $script
        $command.CommandTimeout = $Timeout
        $reader = $command.ExecuteReader()
        try {
            do { while ($reader.Read()) { $reader.GetString(0) } } while ($reader.NextResult())
        } finally {
            $reader.Close()
        }
    } finally {
        $connection.Close()
    }
}

$script = Read-Script
$servers = @(Read-Name | Select-Object -Unique)
if ($servers.Count -eq 0) { throw 'no server: give -Instance, -ServerFile or -Configuration' }
$failed = 0
foreach ($server in $servers) {
    $row = [pscustomobject] @{ Server = $server; Result = 'would run'; Detail = '' }
    if ($PSCmdlet.ShouldProcess($server, "run login.sql for $Name")) {
        try {
            $row.Detail = @(Add-Login $server) -join ', '
            $row.Result = 'done'
        } catch {
            # The innermost message: the outer ones only name the method that failed.
            $row.Detail = $_.Exception.GetBaseException().Message
            $row.Result = 'failed'
            $failed += 1
        }
    }
    $row
}
if ($failed) { exit 1 }
