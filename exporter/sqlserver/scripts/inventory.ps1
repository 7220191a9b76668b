<#
.SYNOPSIS
Writes what SQL Servers use of Azure Key Vault, one JSON file per instance, for `ekm-exporter inventory`.

.DESCRIPTION
Runs inventory.sql on each instance, and reads KeyUri of each key from the registry of its computer. It only reads. No file contains a secret: SQL
Server shows none. An instance that cannot be read gets a file too, with the reason.

Rights: login.sql has those in SQL Server. The registry of another computer needs its service RemoteRegistry and an administrator; without it,
run the script on each computer, or use -NoRegistry.

.EXAMPLE
.\inventory.ps1 -Instance n1, n2, 'n3\SQLPRD01' -Out inventory

.EXAMPLE
.\inventory.ps1 -Instance (Get-Content servers.txt) -Out inventory -NoRegistry
#>
[CmdletBinding()]
param(
    # Server names as for sqlcmd: n1, n1\SQLPRD01 or n1,1433.
    [Parameter(Mandatory = $true)] [string[]] $Instance,
    # The folder of the files. Existing files of the same instances are replaced.
    [string] $Out = 'inventory',
    # A SQL login. Without it, the Windows account signs in.
    [pscredential] $Login,
    # Accept the server's self-signed certificate.
    [switch] $TrustServerCertificate,
    # Do not read the registry.
    [switch] $NoRegistry,
    # Seconds for the connection, and for each query.
    [int] $Timeout = 15
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$root = 'SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault'
$script = [System.IO.File]::ReadAllText((Join-Path $PSScriptRoot 'inventory.sql'))
$batches = @([regex]::Split($script, '(?im)^GO\s*$') | Where-Object { $_ -match '"section":"(\w+)"' })

# Texts are quoted here: ConvertTo-Json of Windows PowerShell makes an object of a text that was read from a file.
function ConvertTo-JsonText([string] $Text) {
    $quoted = New-Object System.Text.StringBuilder
    foreach ($character in $Text.ToCharArray()) {
        $code = [int] $character
        if ($code -lt 32 -or $code -gt 126 -or $code -eq 34 -or $code -eq 92) {
            [void] $quoted.Append('\u' + $code.ToString('x4'))
        } else {
            [void] $quoted.Append($character)
        }
    }
    return '"' + $quoted.ToString() + '"'
}

function Open-Instance([string] $Name) {
    $builder = New-Object System.Data.SqlClient.SqlConnectionStringBuilder
    $builder['Data Source'] = $Name
    $builder['Initial Catalog'] = 'master'
    $builder['Application Name'] = 'ekm-exporter inventory'
    $builder['Connect Timeout'] = $Timeout
    $builder['Encrypt'] = $true
    $builder['TrustServerCertificate'] = $TrustServerCertificate.IsPresent
    $builder['Integrated Security'] = ($null -eq $Login)
    $connection = New-Object System.Data.SqlClient.SqlConnection $builder.ConnectionString
    if ($null -ne $Login) {
        $password = $Login.Password.Copy()
        $password.MakeReadOnly()
        $connection.Credential = New-Object System.Data.SqlClient.SqlCredential $Login.UserName, $password
    }
    $connection.Open()
    return $connection
}

# The JSON of one section: the lines without their bars, up to the checksum.
function Read-Section([System.Data.SqlClient.SqlConnection] $Connection, [string] $Batch) {
    $command = $Connection.CreateCommand()
    $command.CommandText = $Batch
    $command.CommandTimeout = $Timeout
    $reader = $command.ExecuteReader()
    try {
        $text = New-Object System.Text.StringBuilder
        while ($reader.Read()) {
            $line = $reader.GetString(0)
            [void] $text.Append($line.Substring(1, $line.Length - 2))
        }
    } finally {
        $reader.Close()
    }
    $whole = $text.ToString()
    return $whole.Substring(0, $whole.LastIndexOf('sha256:')).TrimEnd()
}

function Find-KeyUri([Microsoft.Win32.RegistryKey] $Key) {
    foreach ($name in $Key.GetSubKeyNames()) {
        $child = $Key.OpenSubKey($name)
        if ($null -eq $child) { continue }
        $uri = $child.GetValue('KeyUri')
        if ($null -ne $uri) {
            '{"thumbprint":' + (ConvertTo-JsonText $name) + ',"uri":' + (ConvertTo-JsonText ([string] $uri)) + '}'
        }
        Find-KeyUri $child
        $child.Close()
    }
}

function Read-Registry([string] $Computer) {
    $hive = [Microsoft.Win32.RegistryHive]::LocalMachine
    $view = [Microsoft.Win32.RegistryView]::Registry64
    if ($Computer -eq $env:COMPUTERNAME) {
        $base = [Microsoft.Win32.RegistryKey]::OpenBaseKey($hive, $view)
    } else {
        $base = [Microsoft.Win32.RegistryKey]::OpenRemoteBaseKey($hive, $Computer, $view)
    }
    try {
        $key = $base.OpenSubKey($root)
        if ($null -ne $key) { Find-KeyUri $key }
    } finally {
        $base.Close()
    }
}

# The innermost message: the outer ones only name the method that failed.
function Get-Reason($Record) {
    return $Record.Exception.GetBaseException().Message
}

function Format-Failure([string] $Section, [string] $Message) {
    return '{"section":' + (ConvertTo-JsonText $Section) + ',"message":' + (ConvertTo-JsonText $Message) + '}'
}

function Read-Instance([string] $Name) {
    $sections = @()
    $errors = @()
    $uris = @()
    $failure = 'null'
    $node = $null
    try {
        $connection = Open-Instance $Name
        try {
            foreach ($batch in $batches) {
                $section = [regex]::Match($batch, '"section":"(\w+)"').Groups[1].Value
                try {
                    $json = Read-Section $connection $batch
                    $sections += $json
                    if ($section -eq 'instance') { $node = (ConvertFrom-Json $json).rows[0].node }
                } catch {
                    $errors += Format-Failure $section (Get-Reason $_)
                }
            }
        } finally {
            $connection.Close()
        }
        if (-not $NoRegistry -and $null -ne $node) {
            try {
                $uris = @(Read-Registry $node)
            } catch {
                $errors += Format-Failure 'registry' (Get-Reason $_)
            }
        }
    } catch {
        $failure = ConvertTo-JsonText (Get-Reason $_)
    }
    return '{"inventory":1,"address":' + (ConvertTo-JsonText $Name) + ',"failure":' + $failure + ',"sections":[' + ($sections -join ',') +
        '],"errors":[' + ($errors -join ',') + '],"key_uris":[' + ($uris -join ',') + ']}'
}

[void] (New-Item -ItemType Directory -Force -Path $Out)
$folder = (Resolve-Path $Out).ProviderPath
$utf8 = New-Object System.Text.UTF8Encoding $false
$number = 0
foreach ($name in $Instance) {
    $number += 1
    Write-Progress -Activity 'Reading SQL Servers' -Status "$number of $($Instance.Count): $name" -PercentComplete (100 * $number / $Instance.Count)
    $file = Join-Path $folder (($name -replace '[^A-Za-z0-9.-]', '_') + '.json')
    $document = Read-Instance $name
    [System.IO.File]::WriteAllText($file, $document, $utf8)
    if ($document -match '"failure":null') {
        Write-Output "${name}: $file"
    } else {
        Write-Warning "${name}: not read, see $file"
    }
}
