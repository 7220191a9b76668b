#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Removes the service, the program and the firewall rule of ekm-exporter. It can run twice.
.PARAMETER Name
The name of the service, if it is another one than ekm-exporter.
.PARAMETER Base
The folder of the installation.
.PARAMETER RemoveData
Also removes the configuration, secrets, state and logs. Without it they stay for the next installation.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidatePattern('^[A-Za-z0-9-]+$')][string]$Name = 'ekm-exporter',
    [string]$Base = "$env:ProgramFiles\$Name",
    [switch]$RemoveData
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$service = $Name

# A process that has just ended can hold its files for a moment.
function Remove-Place([string]$Path) {
    foreach ($try in 1..60) {
        if (-not (Test-Path -LiteralPath $Path)) { return }
        try { Remove-Item -LiteralPath $Path -Recurse -Force } catch { $last = $_; Start-Sleep -Seconds 1 }
    }
    if (Test-Path -LiteralPath $Path) { throw $last }
}

function Remove-Exporter {
    if (-not (Get-Service -Name $service -ErrorAction SilentlyContinue)) { return }
    Stop-Service -Name $service
    & sc.exe delete $service | Out-Null
    if ($LASTEXITCODE -ne 0) { throw "sc.exe delete exited with $LASTEXITCODE" }
    # Windows removes it when the last program that shows it, such as services.msc, is closed.
    foreach ($second in 1..60) {
        if (-not (Get-Service -Name $service -ErrorAction SilentlyContinue)) { return }
        Start-Sleep -Seconds 1
    }
    throw 'Windows has not removed the service yet: close services.msc and other management tools, then run this again'
}

$own = 'app', 'ekm.yml', 'secrets' | Where-Object { Test-Path -LiteralPath "$Base\$_" }
if ($RemoveData -and -not $own -and (Test-Path -LiteralPath $Base)) {
    throw "$Base is no installation of ekm-exporter: nothing is removed"
}
$what = 'remove service, program and firewall rule'
if ($RemoveData) { $what = 'remove service, program, firewall rule, configuration, secrets, state and logs' }
$result = 'would be removed'
if ($PSCmdlet.ShouldProcess($Base, $what)) {
    Remove-Exporter
    Get-NetFirewallRule -Name $service -ErrorAction SilentlyContinue | Remove-NetFirewallRule
    $places = "$Base\app", "$Base\app.old", "$Base\app.new", "$Base\service.json"
    if ($RemoveData) { $places += $Base }
    foreach ($place in $places) { Remove-Place $place }
    $result = 'removed'
}
[pscustomobject]@{ Host = $env:COMPUTERNAME; Result = $result; Kept = Test-Path -LiteralPath $Base }
