#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Installs the zip of a release on this Windows host, uses it, breaks a simulated vault, and removes it. Ends with an error if a step fails.
.PARAMETER Zip
The zip of the release.
#>
[CmdletBinding()]
param([Parameter(Mandatory)][string]$Zip)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$work = 'C:\ekm-try' # readable for the account of the service
$base = "$env:ProgramFiles\ekm-exporter"
$url = 'http://127.0.0.1:10377'
$management = 'http://127.0.0.1:10378'
$vault = 'contoso-prod.vault.azure.net'

function Assert([bool]$Good, [string]$What) {
    if (-not $Good) { throw "FAILED: $What" }
    Write-Host "ok: $What"
}

function Wait-For([string]$What, [scriptblock]$Test) {
    foreach ($second in 1..120) {
        try { if (& $Test) { Write-Host "ok: $What"; return } } catch { Write-Verbose "$_" }
        Start-Sleep -Seconds 1
    }
    Get-ChildItem -Path "$base\logs\*" -ErrorAction SilentlyContinue | ForEach-Object { Write-Host $_.Name; Get-Content $_.FullName -Tail 30 | Write-Host }
    throw "FAILED: $What did not happen within two minutes"
}

function Get-Page([string]$Path) { (Invoke-WebRequest -UseBasicParsing -Uri "$url$Path").Content }

function Install-Package([hashtable]$Options) { & "$package\install.ps1" @Options }

function Get-Trace {
    if (Get-Service -Name ekm-exporter -ErrorAction SilentlyContinue) { 'the service' }
    if (Test-Path -LiteralPath $base) { "the folder $base" }
    if (Get-NetFirewallRule -Name ekm-exporter -ErrorAction SilentlyContinue) { 'the firewall rule' }
    if (Get-Process | Where-Object { $_.Path -like "$base\*" }) { 'a process' }
}

# The configuration of the zip, with the simulator's addresses.
Expand-Archive -LiteralPath $Zip -DestinationPath $work
$package = (Get-ChildItem -Path $work -Directory | Select-Object -First 1).FullName
$command = "$package\app\ekm-exporter.cmd"
$version = Get-Content "$package\app\VERSION"
Assert ("$(& $command --version)" -eq "ekm-exporter $version") 'the program of the zip starts without an installation'
New-Item -ItemType Directory -Path "$work\secrets" | Out-Null
[IO.File]::WriteAllText("$work\secrets\ekm-credential", '66666666777788889999000000000000not-a-secret')
(Get-Content -Raw "$package\ekm.example.yml").Replace('interval: 60s', 'interval: 5s') | Set-Content -Encoding ASCII "$work\ekm.yml"
$simulator = Start-Process -PassThru -FilePath "$package\app\python\python.exe" -ArgumentList @(
    '-B', '-m', 'exporter', 'simulate', '--config.file', "$work\ekm.yml", '--out', "$work\sim"
)
try {
    Wait-For 'the simulator answers' { Invoke-RestMethod -Uri "$management/sim/scenarios" | Out-Null; $true }

    $would = Install-Package @{ Configuration = "$work\sim\ekm.yml"; WhatIf = $true }
    Assert ($would.Result -like 'would change*') '-WhatIf reports what would change'
    Assert (@(Get-Trace).Count -eq 0) '-WhatIf changes nothing'

    $refused = ''
    try { Install-Package @{ Base = $env:SystemRoot; Configuration = "$work\sim\ekm.yml"; WhatIf = $true } | Out-Null } catch { $refused = "$_" }
    Assert ($refused -match 'files of other programs') "the folder of another program is refused: $refused"

    $options = @{ Configuration = "$work\sim\ekm.yml"; Secrets = "$work\secrets"; Prometheus = '10.1.2.3'; Arguments = '--web.enable-pages' }
    $first = Install-Package $options
    Assert ($first.Result -like 'changed: program*') "installed: $($first.Result)"
    $about = Get-CimInstance -ClassName Win32_Service -Filter "Name='ekm-exporter'"
    Assert ($about.StartName -eq 'NT SERVICE\ekm-exporter') "the service has its own account: $($about.StartName)"
    Assert ($about.State -eq 'Running' -and $about.StartMode -eq 'Auto') 'the service runs, and starts with Windows'
    $access = "$(& icacls.exe "$base\secrets")"
    Assert ($access -notmatch 'Users|Everyone|S-1-5-11') 'other users cannot read the secrets'

    Wait-For 'a probe succeeds' { (Get-Page '/metrics') -match '(?m)^ekm_probe_success\{[^}]*\} 1' }
    Invoke-RestMethod -Method Post -Uri "$management/sim/fault" -Body (@{ vault = $vault; scenario = 'unwrap_forbidden' } | ConvertTo-Json) | Out-Null
    Wait-For 'the metric shows the fault' { (Get-Page '/metrics') -match '(?m)^ekm_last_failure_info\{[^}]*code="3113"[^}]*\} 1' }
    Wait-For 'the page shows the fault' { (Get-Page '/') -match '3113' }
    Invoke-RestMethod -Method Delete -Uri "$management/sim/fault" | Out-Null
    Wait-For 'the fault ends' { (Get-Page '/metrics') -match '(?m)^ekm_probe_success\{[^}]*\} 1' }

    $before = (Get-CimInstance -ClassName Win32_Service -Filter "Name='ekm-exporter'").ProcessId
    Assert ((Install-Package $options).Result -eq 'unchanged') 'a second installation changes nothing'
    Assert ((Get-CimInstance -ClassName Win32_Service -Filter "Name='ekm-exporter'").ProcessId -eq $before) 'and restarts nothing'

    Set-Content -Encoding ASCII -LiteralPath "$work\bad.yml" -Value 'targets: [{name: broken}]'
    $refused = ''
    try { Install-Package @{ Configuration = "$work\bad.yml" } | Out-Null } catch { $refused = "$_" }
    Assert ($refused -match 'broken|vault') "a configuration with a problem is refused: $refused"
    Assert ((Get-Page '/metrics') -match 'contoso-key0') 'and the service goes on with the old one'

    $moved = Install-Package @{ Port = 10399 }
    Assert ($moved.Result -eq 'changed: settings') 'another port is a change of the settings'
    Wait-For 'the exporter listens on the other port' { (Invoke-WebRequest -UseBasicParsing 'http://127.0.0.1:10399/-/healthy').StatusCode -eq 200 }

    # Two hosts over remoting: this one, and one that does not exist.
    Enable-PSRemoting -Force -SkipNetworkProfileCheck | Out-Null
    foreach ($name in 'localhost', 'no-such-host.invalid') {
        New-Item -ItemType Directory -Path "$work\hosts\$name" | Out-Null
        Copy-Item "$work\sim\ekm.yml" "$work\hosts\$name"
    }
    Copy-Item -Recurse "$work\secrets" "$work\hosts\localhost\secrets"
    $rows = @(& "$package\install-hosts.ps1" -Hosts "$work\hosts" -Zip $Zip -Port 10377)
    $rows | Format-Table | Out-String | Write-Host
    Assert ($rows.Count -eq 2 -and $LASTEXITCODE -eq 1) 'each host has a row, and the exit code is 1 because one failed'
    Assert ($rows[0].Result -eq 'changed: settings') 'the host that answers is installed'
    Assert ($rows[1].Result -eq 'failed') 'the host that does not answer stops no other'
    Wait-For 'the exporter listens on its port again' { (Get-Page '/-/healthy') -ne $null }

    # As `inventory --per-host` writes them: a list of hosts, secrets that they share, and files that ekm.yml may include.
    Move-Item "$work\hosts\localhost\secrets" "$work\hosts\secrets"
    New-Item -ItemType Directory -Path "$work\hosts\localhost\targets.d" | Out-Null
    Set-Content -Encoding ASCII "$work\hosts\localhost\targets.d\part.yml" 'targets: []'
    Set-Content -Encoding ASCII "$work\hosts\hosts.csv" "# mark`nhost,secrets`nlocalhost,ekm-credential"
    $listed = @(& "$package\install-hosts.ps1" -Hosts "$work\hosts" -Zip $Zip)
    Assert ($listed.Count -eq 1 -and $listed[0].Result -eq 'changed: configuration') 'the hosts are those of the list'
    Assert (Test-Path "$base\targets.d\part.yml") 'the files of targets.d are installed'
} finally {
    Stop-Process -Id $simulator.Id -Force
}

Copy-Item "$base\app\uninstall.ps1" "$work\uninstall.ps1"
& "$base\app\uninstall.ps1" | Out-Null
Assert ((Test-Path "$base\ekm.yml") -and -not (Get-Service -Name ekm-exporter -ErrorAction SilentlyContinue)) 'uninstall keeps the configuration'
& "$work\uninstall.ps1" -RemoveData | Out-Null
Assert (@(Get-Trace).Count -eq 0) "nothing is left $(Get-Trace)"
exit 0
