#Requires -Version 5.1
# What the scripts that try a release on Windows begin with.
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

function Assert([bool]$Good, [string]$What) {
    if (-not $Good) { throw "FAILED: $What" }
    Write-Host "ok: $What"
}
