#Requires -Version 5.1
<#
.SYNOPSIS
Installs or upgrades ekm-exporter on many Windows hosts over PowerShell remoting. A host that fails does not stop the others.
.DESCRIPTION
The folder -Hosts has one folder for each host, with the host's name: in it ekm.yml and, if there are any, the folders targets.d and secrets.
`ekm-exporter inventory --per-host` writes such folders, and hosts.csv: then the hosts are those of this list, and each also gets the secret
files that its row names from the folder secrets of -Hosts. A host without this version gets the MSI, and runs msiexec. A host that has it runs
`ekm-exporter service install`: a second run changes nothing where nothing is new. With -WhatIf each host reports what would change. Ends with
a table, and with exit code 1 if a host failed.
.PARAMETER Hosts
The folder of the hosts.
.PARAMETER Msi
The MSI of the release.
.PARAMETER Only
Names of hosts. Without it: every host that has a folder.
.PARAMETER Credential
An administrator of the hosts. Without it: your own account.
.PARAMETER Prometheus
Addresses that each host's firewall admits to the port.
.PARAMETER Listen
The address on which the exporter listens, for example :10377.
.PARAMETER Arguments
Further flags of the command run, in one text without double quotes.
.EXAMPLE
.\install-hosts.ps1 -Hosts .\hosts -Msi .\ekm-exporter-0.1.0-windows-amd64.msi -Prometheus 10.1.2.3 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][string]$Hosts,
    [Parameter(Mandatory)][string]$Msi,
    [string[]]$Only = @(),
    [pscredential]$Credential,
    [string[]]$Prometheus,
    [string]$Listen,
    [string]$Arguments
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$dry = [bool]$WhatIfPreference
$WhatIfPreference = $false # the copies into a temporary folder are made in any case
$hash = (Get-FileHash -LiteralPath $Msi).Hash
if ((Split-Path -Leaf $Msi) -notmatch '^ekm-exporter-(.+)-windows-amd64\.msi$') { throw "$Msi does not have the name of a release's MSI" }
$version = $matches[1]
# The same settings as words of the command, and as properties of the MSI.
$words = @()
$properties = @()
if ($Listen) { $words += "--web.listen-address=$Listen"; $properties += "LISTEN=$Listen" }
if ($Arguments) { $words += "--arguments=$Arguments"; $properties += "ARGUMENTS=`"$Arguments`"" }
if ($Prometheus) { $words += @('--prometheus') + $Prometheus; $properties += "PROMETHEUS=`"$($Prometheus -join ' ')`"" }

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

# The next three run on the host. This one puts the shared secrets next to those of the host, and returns the version that is installed.
$prepare = {
    param($Place)
    $ErrorActionPreference = 'Stop'
    $own = (Get-ChildItem -Path "$Place\host" -Recurse -Filter ekm.yml | Select-Object -First 1).DirectoryName
    New-Item -ItemType Directory -Force -Path "$own\secrets" | Out-Null
    Copy-Item -Path "$Place\secrets\*" -Destination "$own\secrets" -Force
    $there = "$env:ProgramFiles\ekm-exporter\app\VERSION"
    @{ Own = $own; Version = $(if (Test-Path -LiteralPath $there) { Get-Content -LiteralPath $there }) }
}

# The installed program changes what is new, or with --dry-run reports it.
$change = {
    param($Own, $Words)
    $ErrorActionPreference = 'Continue' # Windows PowerShell makes an error of each line on stderr
    $python = "$env:ProgramFiles\ekm-exporter\app\python\python.exe"
    $all = @('-X', 'utf8', '-m', 'exporter', 'service', 'install', '--config.file', "$Own\ekm.yml") + $Words
    $lines = & $python @all 2>&1 | ForEach-Object { "$_" }
    if ($LASTEXITCODE -ne 0) { throw ($lines -join "`n") }
    $lines
}

$install = {
    param($Place, $Own, $Hash, $Properties)
    $ErrorActionPreference = 'Stop'
    if ((Get-FileHash -LiteralPath "$Place\package.msi").Hash -ne $Hash) { throw 'the MSI arrived damaged' }
    $words = @("/i `"$Place\package.msi`"", '/qn', "CONFIG=`"$Own\ekm.yml`"") + $Properties
    $log = "$env:ProgramFiles\ekm-exporter\install.log"
    if (Test-Path -LiteralPath $log) { Remove-Item -LiteralPath $log } # of an earlier installation
    $code = (Start-Process -FilePath msiexec.exe -ArgumentList ($words -join ' ') -Wait -PassThru).ExitCode
    $lines = if (Test-Path -LiteralPath $log) { Get-Content -LiteralPath $log -Encoding UTF8 }
    if ($code -notin 0, 3010) { throw "msiexec exited with $code`n$($lines -join "`n")" } # 3010: after a restart
    $lines
}

# Lines of the command `service install`, as it prints them.
function Set-Exporter($Session, [string]$Place) {
    $found = Invoke-Command -Session $Session -ScriptBlock $prepare -ArgumentList $Place
    if ($found.Version -ne $version) {
        if ($dry) { return "would change: program ($version)" }
        Copy-Item -LiteralPath $Msi -Destination "$Place\package.msi" -ToSession $Session
        return Invoke-Command -Session $Session -ScriptBlock $install -ArgumentList $Place, $found.Own, $hash, $properties
    }
    $all = if ($dry) { $words + '--dry-run' } else { $words }
    Invoke-Command -Session $Session -ScriptBlock $change -ArgumentList $found.Own, $all
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
            Copy-Item -LiteralPath $folder -Destination "$place\host" -ToSession $session -Recurse
            Get-SharedSecret $Row | ForEach-Object { Copy-Item -LiteralPath $_ -Destination "$place\secrets" -ToSession $session }
            Set-Exporter $session $place
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
        $lines = @(Install-Host $row)
        $result = $lines -match 'change' | Select-Object -First 1
        $detail = $lines -match '^(not )?running' | Select-Object -First 1
        [pscustomobject]@{ Host = $row.host; Result = "$result" -replace '^service \S+: '; Version = $version; Detail = $detail }
    } catch {
        [pscustomobject]@{ Host = $row.host; Result = 'failed'; Version = ''; Detail = "$_".Trim() }
    }
}
$rows
if (@($rows | Where-Object { $_.Result -eq 'failed' }).Count) { exit 1 }
