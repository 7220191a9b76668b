#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Installs or upgrades ekm-exporter as a Windows service, on a host without Python and internet access.
.DESCRIPTION
Run it from the expanded zip. The new program checks the configuration first; if it has a problem, nothing changes. If the service does
not listen within a minute, the previous program and configuration come back. A second run with the same parameters changes nothing.
.PARAMETER Name
The name of the service, for several exporters on one host.
.PARAMETER Base
The folder of the installation.
.PARAMETER Configuration
The file that becomes ekm.yml of the installation. A folder targets.d next to it becomes that of the installation. Without it the installed
ones stay.
.PARAMETER Secrets
A folder whose files are copied into the folder secrets of the installation.
.PARAMETER AskSecret
Names of secret files to type. The input is hidden and is in no history.
.PARAMETER Prometheus
Addresses that the firewall admits to the port: those of your Prometheus servers. Without it those of an earlier run.
.PARAMETER Port
The port of the exporter: 10377, if an earlier run set no other one.
.PARAMETER Arguments
Further arguments of the command run, for example --web.enable-pages. An empty string removes those of an earlier run.
.EXAMPLE
.\install.ps1 -Configuration .\ekm.yml -AskSecret ekm-credential -Prometheus 10.1.2.3
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidatePattern('^[A-Za-z0-9-]+$')][string]$Name = 'ekm-exporter',
    [string]$Base = "$env:ProgramFiles\$Name",
    [string]$Configuration,
    [string]$Secrets,
    [string[]]$AskSecret = @(),
    [string[]]$Prometheus = @(),
    [ValidateRange(1, 65535)][int]$Port = 10377,
    [string]$Arguments = ''
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$given = $PSBoundParameters
$Base = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Base)
$service = $Name
$account = "NT SERVICE\$Name" # an account of this service alone, without a password
$package = Join-Path $PSScriptRoot 'app'
$app = Join-Path $Base 'app'
$installed = Join-Path $Base 'ekm.yml'
$installedParts = Join-Path $Base 'targets.d'
$settingsFile = Join-Path $Base 'service.json'

function Invoke-Program([string]$Program, [string[]]$Words) {
    $ErrorActionPreference = 'Continue' # Windows PowerShell makes an error of each line on stderr
    $lines = & $Program @Words 2>&1 | ForEach-Object { "$_" }
    if ($LASTEXITCODE -ne 0) { throw "$Program exited with $LASTEXITCODE`n$($lines -join "`n")" }
}

function Test-Same([string]$One, [string]$Other) {
    (Test-Path -LiteralPath $Other) -and (Get-FileHash -LiteralPath $One).Hash -eq (Get-FileHash -LiteralPath $Other).Hash
}

function Remove-Folder([string]$Path) {
    if (Test-Path -LiteralPath $Path) { Remove-Item -LiteralPath $Path -Recurse -Force }
}

# A process that has just ended can hold its files for a moment.
function Rename-Folder([string]$Path, [string]$Name) {
    foreach ($try in 1..60) {
        try { Rename-Item -LiteralPath $Path -NewName $Name; return } catch { $last = $_; Start-Sleep -Seconds 1 }
    }
    throw $last
}

function Assert-Package {
    foreach ($line in Get-Content -LiteralPath (Join-Path $package 'files.sha256')) {
        $hash, $name = $line -split '  ', 2
        $file = Join-Path $package $name
        if (-not (Test-Path -LiteralPath $file) -or (Get-FileHash -LiteralPath $file).Hash -ne $hash) {
            throw "$file is missing or damaged: expand the zip again"
        }
    }
}

function Assert-Place {
    $found = Get-CimInstance -ClassName Win32_Service -Filter "Name='$service'"
    if ($found -and $found.PathName.Trim('"') -notlike "$app\*") {
        throw "the service $service is installed in another folder: $($found.PathName). Run uninstall.ps1 of that installation first."
    }
    foreach ($path in $Configuration, $Secrets) {
        if ($path -and -not (Test-Path -LiteralPath $path)) { throw "$path does not exist" }
    }
    $there = if (Test-Path -LiteralPath $Base) { Get-ChildItem -LiteralPath $Base -Force -Name }
    # Its rights change, and -RemoveData of uninstall.ps1 deletes it.
    if ($there -and -not ($there | Where-Object { $_ -in 'app', 'ekm.yml', 'secrets' })) {
        throw "$Base has files of other programs: give a folder of its own with -Base"
    }
    if (-not $Configuration -and -not (Test-Path -LiteralPath $installed)) {
        throw 'this host has no configuration yet: write one (ekm.example.yml) and give it with -Configuration'
    }
}

# Those of an earlier run, if there was one.
function Read-Settings {
    $found = @{ Port = 0; Arguments = ''; Prometheus = @() }
    if (Test-Path -LiteralPath $settingsFile) {
        $read = Get-Content -Raw -LiteralPath $settingsFile | ConvertFrom-Json
        $found = @{ Port = $read.Port; Arguments = $read.Arguments; Prometheus = @($read.Prometheus) }
    }
    $found
}

function Get-Settings([hashtable]$Earlier) {
    $found = $Earlier.Clone()
    if ($given.ContainsKey('Port') -or -not $found.Port) { $found.Port = $Port }
    foreach ($name in 'Arguments', 'Prometheus') {
        if ($given.ContainsKey($name)) { $found[$name] = $given[$name] }
    }
    $found
}

# The folder targets.d next to the configuration, if there is one.
function Find-Part {
    if (-not $Configuration) { return }
    $next = Join-Path (Get-Item -LiteralPath $Configuration).DirectoryName 'targets.d'
    if (Test-Path -LiteralPath $next) { $next }
}

function Get-Part([string]$Folder) {
    if (Test-Path -LiteralPath $Folder) { Get-ChildItem -LiteralPath $Folder -File | Where-Object { $_.Extension -eq '.yml' } }
}

function Test-SamePart([string]$One, [string]$Other) {
    $changed = @(Get-Part $One | Where-Object { -not (Test-Same $_.FullName (Join-Path $Other $_.Name)) })
    -not $changed.Count -and @(Get-Part $One).Count -eq @(Get-Part $Other).Count
}

# File by file: a running exporter never finds the folder without files.
function Copy-Part([string]$From, [string]$To) {
    New-Item -ItemType Directory -Force -Path $To | Out-Null
    Get-Part $From | ForEach-Object { Copy-Item -LiteralPath $_.FullName -Destination $To -Force }
    Get-Part $To | Where-Object { -not (Test-Path -LiteralPath (Join-Path $From $_.Name)) } | ForEach-Object { Remove-Item -LiteralPath $_.FullName }
}

function Get-SecretFile { if ($Secrets) { Get-ChildItem -LiteralPath $Secrets -File } }

function Get-Change {
    if (-not (Test-Same (Join-Path $package 'files.sha256') (Join-Path $app 'files.sha256'))) { 'program' }
    if ($settings.Port -ne $earlier.Port -or $settings.Arguments -ne $earlier.Arguments) { 'settings' }
    $isNew = $Configuration -and -not (Test-Same $Configuration $installed)
    if ($isNew -or ($parts -and -not (Test-SamePart $parts $installedParts))) { 'configuration' }
    $other = @(Get-SecretFile | Where-Object { -not (Test-Same $_.FullName (Join-Path $Base "secrets\$($_.Name)")) })
    if ($other.Count -or $AskSecret.Count) { 'secrets' }
    $found = Get-Service -Name $service -ErrorAction SilentlyContinue
    if (-not $found -or $found.Status -ne 'Running') { 'service' }
    if (($settings.Prometheus -join ' ') -ne ($earlier.Prometheus -join ' ')) { 'firewall' }
}

# Only administrators, the system and, once it exists, the service: S-1-5-32-544 and S-1-5-18 in every language of Windows.
function Set-Access([string[]]$Service) {
    $owners = '*S-1-5-32-544:(OI)(CI)F', '*S-1-5-18:(OI)(CI)F'
    foreach ($pair in @($Base, 'RX'), @("$Base\secrets", 'R'), @("$Base\state", 'M'), @("$Base\logs", 'M')) {
        $grants = $owners + @($Service | ForEach-Object { "${_}:(OI)(CI)$($pair[1])" })
        Invoke-Program 'icacls.exe' (@($pair[0], '/inheritance:r', '/grant:r') + $grants + '/Q')
    }
}

function New-Place {
    foreach ($folder in $Base, "$Base\secrets", "$Base\state", "$Base\logs") {
        New-Item -ItemType Directory -Force -Path $folder | Out-Null
    }
    if (-not (Get-Service -Name $service -ErrorAction SilentlyContinue)) { Set-Access @() }
}

function Copy-Secret {
    Get-SecretFile | ForEach-Object { Copy-Item -LiteralPath $_.FullName -Destination (Join-Path $Base 'secrets') -Force }
    foreach ($name in $AskSecret) {
        $typed = Read-Host -AsSecureString "Secret for the file $name"
        # UTF-8 without a byte order mark
        [IO.File]::WriteAllText((Join-Path $Base "secrets\$name"), (New-Object Net.NetworkCredential '', $typed).Password)
    }
}

# In its final folder, since paths in it are relative.
function Copy-Configuration {
    $next = "$installed.new"
    $source = if ($Configuration) { $Configuration } else { $installed }
    Copy-Item -LiteralPath $source -Destination $next -Force
    if ($parts) {
        Copy-Part $installedParts "$installedParts.old"
        Copy-Part $parts $installedParts
    }
    try {
        Invoke-Program (Join-Path $package 'python\python.exe') @('-B', '-X', 'utf8', '-m', 'exporter', 'check', '--config.file', $next)
    } catch {
        Remove-Item -LiteralPath $next
        if ($parts) { Copy-Part "$installedParts.old" $installedParts }
        throw
    }
    if (Test-Path -LiteralPath $installed) { Copy-Item -LiteralPath $installed -Destination "$installed.old" -Force }
}

function Copy-Program {
    $next = Join-Path $Base 'app.new'
    Remove-Folder $next
    Copy-Item -LiteralPath $package -Destination $next -Recurse
    Get-ChildItem -LiteralPath $next -Recurse -File | Unblock-File
    $wrapper = Join-Path $next 'ekm-exporter-service.xml'
    $xml = New-Object Xml.XmlDocument
    $xml.Load($wrapper)
    foreach ($place in '/service/id', '/service/name') { $xml.SelectSingleNode($place).InnerText = $service }
    $line = $xml.SelectSingleNode('/service/arguments')
    $words = $line.InnerText, "--web.listen-address=:$($settings.Port)", $settings.Arguments
    $line.InnerText = ($words -join ' ').Trim()
    $xml.Save($wrapper)
    # Bytecode saves a second at each start; the service may not write it.
    $where = @('-s', $next, '-p', $app, (Join-Path $next 'lib'))
    Invoke-Program (Join-Path $next 'python\python.exe') (@('-m', 'compileall', '-q') + $where)
}

function Switch-Program {
    if (Get-Service -Name $service -ErrorAction SilentlyContinue) { Stop-Service -Name $service }
    Remove-Folder (Join-Path $Base 'app.old')
    if (Test-Path -LiteralPath $app) { Rename-Folder $app 'app.old' }
    Rename-Folder (Join-Path $Base 'app.new') 'app'
}

function Register-Exporter {
    if (-not (Get-Service -Name $service -ErrorAction SilentlyContinue)) {
        Invoke-Program (Join-Path $app 'ekm-exporter-service.exe') @('install')
    }
    Invoke-Program 'sc.exe' @('config', $service, 'obj=', $account)
    Invoke-Program 'sc.exe' @('sidtype', $service, 'unrestricted')
    Set-Access @($account)
}

function Set-Firewall {
    Get-NetFirewallRule -Name $service -ErrorAction SilentlyContinue | Remove-NetFirewallRule
    if (-not $settings.Prometheus) { return }
    $what = @{ Direction = 'Inbound'; Protocol = 'TCP'; LocalPort = $settings.Port; RemoteAddress = $settings.Prometheus; Action = 'Allow' }
    New-NetFirewallRule -Name $service -DisplayName $service @what | Out-Null
}

function Test-Listening {
    $client = New-Object Net.Sockets.TcpClient
    try { $client.Connect('127.0.0.1', $settings.Port); $true } catch { $false } finally { $client.Dispose() }
}

function Start-Exporter {
    if (Test-Listening) { throw "port $($settings.Port) is used by another program: give another one with -Port" }
    Start-Service -Name $service
    foreach ($second in 1..60) {
        if (Test-Listening) { return }
        Start-Sleep -Seconds 1
    }
    $log = Get-ChildItem -Path "$Base\logs\*.log" | Sort-Object LastWriteTime | Select-Object -Last 1
    $lines = if ($log) { Get-Content -LiteralPath $log.FullName -Tail 10 }
    throw "the service does not listen on port $($settings.Port) after a minute. The end of its log:`n$($lines -join "`n")"
}

function Restore-Previous {
    Stop-Service -Name $service -ErrorAction SilentlyContinue
    if (-not (Test-Path -LiteralPath "$Base\app.old")) { return }
    Remove-Folder "$Base\app.new"
    Rename-Folder $app 'app.new'
    Rename-Folder "$Base\app.old" 'app'
    if ($parts) { Copy-Part "$installedParts.old" $installedParts }
    if (Test-Path -LiteralPath "$installed.old") { Copy-Item -LiteralPath "$installed.old" -Destination $installed -Force }
    try { Start-Service -Name $service } catch { Write-Warning "the previous program does not start either: $_" }
}

# Last, so that a run that was cut short is made again.
function Save-Settings {
    Set-Firewall
    $settings | ConvertTo-Json | Set-Content -LiteralPath $settingsFile -Encoding ASCII
}

function Install-Exporter([string[]]$Changes) {
    New-Place
    Copy-Secret
    Copy-Configuration
    if (-not ($Changes | Where-Object { $_ -in 'program', 'settings', 'service' })) {
        Move-Item -LiteralPath "$installed.new" -Destination $installed -Force # the running exporter applies it by itself
        Save-Settings
        return
    }
    Copy-Program
    Switch-Program
    try {
        Move-Item -LiteralPath "$installed.new" -Destination $installed -Force
        Register-Exporter
        Start-Exporter
    } catch {
        Restore-Previous
        throw
    }
    Save-Settings
    Remove-Folder (Join-Path $Base 'app.old')
}

Assert-Package
Assert-Place
$parts = Find-Part
$earlier = Read-Settings
$settings = Get-Settings $earlier
$changes = @(Get-Change)
$result = if (-not $changes.Count) { 'unchanged' } else { "changed: $($changes -join ', ')" }
if ($changes.Count -and -not $PSCmdlet.ShouldProcess($Base, "change $($changes -join ', ')")) {
    $result = "would change: $($changes -join ', ')"
} elseif ($changes.Count) {
    Install-Exporter $changes
}
[pscustomobject]@{
    Host    = $env:COMPUTERNAME
    Result  = $result
    Version = [string](Get-Content -LiteralPath (Join-Path $package 'VERSION'))
    Url     = "http://$($env:COMPUTERNAME):$($settings.Port)/metrics"
}
