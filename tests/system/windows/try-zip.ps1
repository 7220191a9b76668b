#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Expands the zip of a release on this Windows host, installs its service, and removes it. Ends with an error if a step fails.
.PARAMETER Zip
The zip of the release.
#>
[CmdletBinding()]
param([Parameter(Mandatory)][string]$Zip)
. "$PSScriptRoot\trying.ps1"
$work = 'C:\ekm zip' # readable for the account of the service
$service = 'ekm-exporter-zip'

# What the program prints, and its exit code in $LASTEXITCODE.
function Get-Output([string[]]$Words) {
    $ErrorActionPreference = 'Continue' # Windows PowerShell makes an error of each line on stderr
    (& $command @Words 2>&1 | ForEach-Object { "$_" }) -join "`n"
}

Expand-Archive -LiteralPath $Zip -DestinationPath $work
$package = (Get-ChildItem -Path $work -Directory | Select-Object -First 1).FullName
$command = "$package\app\ekm-exporter.cmd"
$version = Get-Content "$package\app\VERSION"
Assert ((Get-Output '--version') -eq "ekm-exporter $version") 'the program of the zip starts without an installation'
Assert ((Get-Output 'explain', '3303') -match '3303') 'it explains a code'

New-Item -ItemType Directory -Path "$work\own\secrets" | Out-Null
[IO.File]::WriteAllText("$work\own\secrets\ekm-credential", '66666666777788889999000000000000not-a-secret')
Copy-Item -LiteralPath "$package\ekm.example.yml" -Destination "$work\own\ekm.yml"
$words = 'service', 'install', '--name', $service, '--config.file', "$work\own\ekm.yml", '--web.listen-address=:10398'
$would = Get-Output ($words + '--dry-run')
Assert ($would -match 'would change') "--dry-run reports what would change: $would"
Assert (-not (Get-Service -Name $service -ErrorAction SilentlyContinue)) '--dry-run changes nothing'

$first = Get-Output $words
Assert ($LASTEXITCODE -eq 0) "installed: $first"
Assert ((Get-Service -Name $service).Status -eq 'Running') 'the service runs, since it listens'
Assert ((Invoke-WebRequest -UseBasicParsing 'http://127.0.0.1:10398/-/healthy').StatusCode -eq 200) 'it answers at once'
$before = (Get-CimInstance -ClassName Win32_Service -Filter "Name='$service'").ProcessId
Assert ((Get-Output $words) -match 'unchanged') 'a second installation changes nothing'
Assert ((Get-CimInstance -ClassName Win32_Service -Filter "Name='$service'").ProcessId -eq $before) 'and restarts nothing'

Set-Content -Encoding ASCII -LiteralPath "$work\own\ekm.yml" -Value 'targets: [{name: broken}]'
$refused = Get-Output $words
Assert ($LASTEXITCODE -eq 2 -and $refused -match 'broken|vault') "a configuration with a problem is refused: $refused"
Assert ((Get-Service -Name $service).Status -eq 'Running') 'and the service goes on with the old one'

$removed = Get-Output 'service', 'remove', '--name', $service, '--remove-data'
Assert ($LASTEXITCODE -eq 0) "removed: $removed"
Assert (-not (Get-Service -Name $service -ErrorAction SilentlyContinue)) 'the service is gone'
Assert (-not (Test-Path -LiteralPath "$package\secrets")) 'the data are gone'
Remove-Item -LiteralPath $work -Recurse -Force
exit 0
