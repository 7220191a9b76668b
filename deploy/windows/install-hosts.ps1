#Requires -Version 5.1
<#
.SYNOPSIS
Installs or upgrades ekm-exporter on many Windows hosts over PowerShell remoting. A host that fails does not stop the others.
.DESCRIPTION
The folder -Hosts has one folder for each host, with the host's name: in it ekm.yml and, if there are any, the folders targets.d and secrets.
`ekm-exporter inventory --per-host` writes such folders, and hosts.csv: then the hosts are those of this list, and each also gets the secret
files that its row names from the folder secrets of -Hosts. Each host gets the zip and its own folder, and runs install.ps1. A second run
changes nothing where nothing is new. With -WhatIf each host reports what would change. Ends with a table, and with exit code 1 if a host failed.
.PARAMETER Hosts
The folder of the hosts.
.PARAMETER Zip
The zip of the release.
.PARAMETER Only
Names of hosts. Without it: every host that has a folder.
.PARAMETER Credential
An administrator of the hosts. Without it: your own account.
.PARAMETER Prometheus
Addresses that each host's firewall admits to the port.
.PARAMETER Port
The port of the exporter.
.PARAMETER Arguments
Further arguments of the command run.
.EXAMPLE
.\install-hosts.ps1 -Hosts .\hosts -Zip .\ekm-exporter-0.1.0-windows-amd64.zip -Prometheus 10.1.2.3 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][string]$Hosts,
    [Parameter(Mandatory)][string]$Zip,
    [string[]]$Only = @(),
    [pscredential]$Credential,
    [string[]]$Prometheus,
    [int]$Port,
    [string]$Arguments
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$dry = [bool]$WhatIfPreference
$WhatIfPreference = $false # the copies into a temporary folder are made in any case
$hash = (Get-FileHash -LiteralPath $Zip).Hash
$options = @{ WhatIf = $dry }
foreach ($name in 'Prometheus', 'Port', 'Arguments') {
    if ($PSBoundParameters.ContainsKey($name)) { $options[$name] = $PSBoundParameters[$name] }
}

# The rows of hosts.csv: each host and the names of its secret files. Without that file: every folder.
function Get-Row {
    $list = Join-Path $Hosts 'hosts.csv'
    if (Test-Path -LiteralPath $list) {
        Get-Content -LiteralPath $list | Where-Object { $_ -notlike '#*' } | ConvertFrom-Csv
    } else {
        Get-ChildItem -LiteralPath $Hosts -Directory | Where-Object { $_.Name -ne 'secrets' } |
            ForEach-Object { [pscustomobject]@{ host = $_.Name; secrets = '' } }
    }
}

function Get-Target {
    $found = @(Get-Row)
    if (-not $found.Count) { throw "$Hosts has no hosts: make a folder for each one, with its name" }
    $unknown = @($Only | Where-Object { $_ -notin $found.host })
    if ($unknown.Count) { throw "$Hosts has no host $($unknown -join ', ')" }
    $found | Where-Object { -not $Only.Count -or $_.host -in $Only } | Sort-Object host
}

# The secret files that all hosts share and this host needs. A file of its own folder comes first; one that is missing may be installed already.
function Get-SharedSecret($Row) {
    foreach ($name in @($Row.secrets -split ' ' | Where-Object { $_ })) {
        $file = Join-Path $Hosts "secrets\$name"
        $own = Join-Path $Hosts "$($Row.host)\secrets\$name"
        if ((Test-Path -LiteralPath $file) -and -not (Test-Path -LiteralPath $own)) { $file }
    }
}

function New-Connection([string]$Name) {
    $limits = New-PSSessionOption -OpenTimeout 30000 -OperationTimeout 300000 # milliseconds
    $who = if ($Credential) { @{ Credential = $Credential } } else { @{} }
    New-PSSession -ComputerName $Name -SessionOption $limits @who
}

# Runs on the host.
$remote = {
    param($Place, $Hash, $Options)
    $ErrorActionPreference = 'Stop'
    $ProgressPreference = 'SilentlyContinue'
    try { Set-ExecutionPolicy -Scope Process -ExecutionPolicy Bypass -Force } catch { Write-Verbose "$_" } # a policy of the domain decides
    if ((Get-FileHash -LiteralPath "$Place\package.zip").Hash -ne $Hash) { throw 'the zip arrived damaged' }
    Expand-Archive -LiteralPath "$Place\package.zip" -DestinationPath "$Place\p"
    $script = (Get-ChildItem -Path "$Place\p\*\install.ps1").FullName
    $own = (Get-ChildItem -Path "$Place\host" -Recurse -Filter ekm.yml | Select-Object -First 1).DirectoryName
    $parameters = @{ Configuration = "$own\ekm.yml" }
    if (Test-Path -LiteralPath "$own\secrets") { Copy-Item -Path "$own\secrets\*" -Destination "$Place\secrets" -Force }
    if (Get-ChildItem -LiteralPath "$Place\secrets") { $parameters.Secrets = "$Place\secrets" }
    foreach ($name in $Options.Keys) { $parameters[$name] = $Options[$name] }
    & $script @parameters
}

function Install-Host($Row) {
    $folder = Join-Path $Hosts $Row.host
    if (-not (Test-Path -LiteralPath "$folder\ekm.yml")) { throw "$folder has no ekm.yml" }
    $session = New-Connection $Row.host
    try {
        $place = Invoke-Command -Session $session -ScriptBlock {
            $made = Join-Path $env:TEMP "ekm-$([guid]::NewGuid().ToString('N').Substring(0, 8))"
            New-Item -ItemType Directory -Path "$made\host", "$made\secrets" | Out-Null
            $made
        }
        try {
            Copy-Item -LiteralPath $Zip -Destination "$place\package.zip" -ToSession $session
            Copy-Item -LiteralPath $folder -Destination "$place\host" -ToSession $session -Recurse
            Get-SharedSecret $Row | ForEach-Object { Copy-Item -LiteralPath $_ -Destination "$place\secrets" -ToSession $session }
            Invoke-Command -Session $session -ScriptBlock $remote -ArgumentList $place, $hash, $options
        } finally {
            # It holds secrets.
            Invoke-Command -Session $session -ScriptBlock { param($Made) Remove-Item -LiteralPath $Made -Recurse -Force } -ArgumentList $place
        }
    } finally {
        Remove-PSSession -Session $session
    }
}

$rows = foreach ($row in Get-Target) {
    Write-Verbose "installing on $($row.host)"
    try {
        $answer = Install-Host $row | Select-Object -Last 1
        [pscustomobject]@{ Host = $row.host; Result = $answer.Result; Version = $answer.Version; Detail = $answer.Url }
    } catch {
        [pscustomobject]@{ Host = $row.host; Result = 'failed'; Version = ''; Detail = "$_".Trim() }
    }
}
$rows
if (@($rows | Where-Object { $_.Result -eq 'failed' }).Count) { exit 1 }
