#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Installs the MSI of a release on this Windows host, breaks a simulated vault, upgrades, repairs, and removes it. Ends with an error if a step fails.
.PARAMETER Msi
The MSI of the release.
.PARAMETER Next
The MSI of a later version, with the same files.
.PARAMETER Zip
The zip of the release. Its simulator stays while the installed program goes.
#>
[CmdletBinding()]
param([Parameter(Mandatory)][string]$Msi, [Parameter(Mandatory)][string]$Next, [Parameter(Mandatory)][string]$Zip)
. "$PSScriptRoot\trying.ps1"
$work = 'C:\ekm msi' # readable for the account of the service
$base = "$env:ProgramFiles\ekm-exporter"
$url = 'http://127.0.0.1:10377'
$management = 'http://127.0.0.1:10378'
$vault = 'contoso-prod.vault.azure.net'
$many = "$PSScriptRoot\..\..\..\deploy\windows\install-hosts.ps1"

function Wait-For([string]$What, [scriptblock]$Test) {
    foreach ($second in 1..120) {
        try { if (& $Test) { Write-Host "ok: $What"; return } } catch { Write-Verbose "$_" }
        Start-Sleep -Seconds 1
    }
    Get-ChildItem -Path "$base\*.log", "$base\logs\*" -ErrorAction SilentlyContinue | ForEach-Object { Write-Host $_.Name; Get-Content $_.FullName -Tail 30 | Write-Host }
    throw "FAILED: $What did not happen within two minutes"
}

function Get-Page([string]$Path) { (Invoke-WebRequest -UseBasicParsing -Uri "$url$Path").Content }

# The exit code. The log of Windows Installer is printed if it is not the expected one.
function Assert-Installer([int]$Expected, [string]$Words) {
    $code = (Start-Process -FilePath msiexec.exe -ArgumentList "$Words /qn /l*v `"$work\msiexec.log`"" -Wait -PassThru).ExitCode
    if ($code -ne $Expected) {
        Get-Content -LiteralPath "$work\msiexec.log" -Tail 60 | Write-Host
        if (Test-Path -LiteralPath "$base\install.log") { Get-Content -LiteralPath "$base\install.log" | Write-Host }
    }
    Assert ($code -eq $Expected) "msiexec $Words exits with $Expected ($code)"
}

function Get-Installed {
    $keys = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\*'
    Get-ItemProperty -Path $keys | Where-Object { $_.PSObject.Properties['DisplayName'] -and $_.DisplayName -eq 'ekm-exporter' } | ForEach-Object { $_.DisplayVersion }
}

# The texts of the event log of one kind, as docs/windows.md numbers them.
function Get-Entry([int]$Number) {
    (Get-WinEvent -LogName Application -FilterXPath "*[System[Provider[@Name='ekm-exporter'] and (EventID=$Number)]]").Message
}

function Get-ServiceProcess { (Get-CimInstance -ClassName Win32_Service -Filter "Name='ekm-exporter'").ProcessId }

function Get-Trace {
    if (Get-Service -Name ekm-exporter -ErrorAction SilentlyContinue) { 'the service' }
    if (Test-Path -LiteralPath $base) { "the folder $base" }
    if (Get-NetFirewallRule -DisplayName 'ekm-exporter: ekm-exporter' -ErrorAction SilentlyContinue) { 'the firewall rule' }
    if (Get-Process | Where-Object { $_.Path -like "$base\*" }) { 'a process' }
    if ([Environment]::GetEnvironmentVariable('PATH', 'Machine') -like '*ekm-exporter*') { 'the path' }
    if (Get-Installed) { 'the product' }
}

$version = (Split-Path -Leaf $Msi).Split('-')[2]
New-Item -ItemType Directory -Path "$work\sim\secrets" | Out-Null
[IO.File]::WriteAllText("$work\sim\secrets\ekm-credential", '66666666777788889999000000000000not-a-secret')
Expand-Archive -LiteralPath $Zip -DestinationPath "$work\program"
$package = (Get-ChildItem -Path "$work\program" -Directory | Select-Object -First 1).FullName
(Get-Content -Raw "$package\ekm.example.yml").Replace('interval: 60s', 'interval: 5s') | Set-Content -Encoding ASCII "$work\ekm.yml"
$simulator = Start-Process -PassThru -FilePath "$package\app\python\python.exe" -ArgumentList @(
    '-B', '-m', 'exporter', 'simulate', '--config.file', "`"$work\ekm.yml`"", '--out', "`"$work\sim`""
)
try {
    Wait-For 'the simulator answers' { Invoke-RestMethod -Uri "$management/sim/scenarios" | Out-Null; $true }

    Set-Content -Encoding ASCII -LiteralPath "$work\bad.yml" -Value 'targets: [{name: broken}]'
    Assert-Installer 1603 "/i `"$Msi`" CONFIG=`"$work\bad.yml`""
    Assert ((Get-Content -Raw "$base\install.log") -match 'broken|vault') 'install.log has the problem of the configuration'
    Assert (-not (Get-Installed) -and -not (Test-Path "$base\app\VERSION")) 'nothing is installed'
    Assert (-not (Get-Service -Name ekm-exporter -ErrorAction SilentlyContinue)) 'no service is registered'

    Assert-Installer 0 "/i `"$Msi`" CONFIG=`"$work\sim\ekm.yml`" LISTEN=:10377 PROMETHEUS=10.1.2.3 ARGUMENTS=--web.enable-pages"
    $about = Get-CimInstance -ClassName Win32_Service -Filter "Name='ekm-exporter'"
    Assert ($about.PathName -like '"C:\Program Files\ekm-exporter\app\*"*') "the path of the service is in quotes: $($about.PathName)"
    Assert ($about.StartName -eq 'NT SERVICE\ekm-exporter') "the service has its own account: $($about.StartName)"
    Assert ($about.State -eq 'Running' -and $about.StartMode -eq 'Auto') 'the service runs, and starts with Windows'
    foreach ($folder in 'secrets', 'state') {
        Assert ("$(& icacls.exe "$base\$folder")" -notmatch 'Users|Everyone|S-1-5-11|S-1-5-32-545') "other users have no right to $folder"
    }
    Assert ("$(& icacls.exe "$base\app")" -notmatch '(Users|Everyone|ekm-exporter):[^ ]*\((F|M|W)\)') 'no user may write the program, and the service may not'
    Assert ((Get-NetFirewallRule -DisplayName 'ekm-exporter: ekm-exporter').Enabled -eq 'True') 'the firewall admits Prometheus'
    Assert ([Environment]::GetEnvironmentVariable('PATH', 'Machine') -like "*$base\app*") 'a new console finds the command'

    Wait-For 'a probe succeeds' { (Get-Page '/metrics') -match '(?m)^ekm_probe_success\{[^}]*\} 1' }
    Wait-For 'the event log has the start' { (Get-Entry 1) -match "ekm-exporter $version started: http" }

    $configuration = [IO.File]::ReadAllText("$base\ekm.yml")
    [IO.File]::WriteAllText("$base\ekm.yml", 'targets: [{name: broken}]')
    Wait-For 'the event log has the refused configuration' { (Get-Entry 10) -match 'level=error' }
    Assert ((Get-Page '/metrics') -match 'contoso-key0') 'a configuration with a problem changes nothing'
    [IO.File]::WriteAllText("$base\ekm.yml", $configuration.Replace('contoso-key0', 'contoso-key1'))
    Wait-For 'a changed configuration is applied' { (Get-Page '/metrics') -match 'target="contoso-key1"' }
    [IO.File]::WriteAllText("$base\ekm.yml", $configuration)
    $killed = Get-ServiceProcess
    Stop-Process -Id $killed -Force
    Wait-For 'Windows starts the service again after a crash' { (Get-ServiceProcess) -notin 0, $killed -and (Get-Page '/-/healthy') }
    Wait-For 'a probe succeeds again' { (Get-Page '/metrics') -match '(?m)^ekm_probe_success\{[^}]*target="contoso-key0"[^}]*\} 1' }

    Invoke-RestMethod -Method Post -Uri "$management/sim/fault" -Body (@{ vault = $vault; scenario = 'unwrap_forbidden' } | ConvertTo-Json) | Out-Null
    Wait-For 'the metric shows the fault' { (Get-Page '/metrics') -match '(?m)^ekm_last_failure_info\{[^}]*code="3113"[^}]*\} 1' }
    Wait-For 'the page shows the fault' { (Get-Page '/') -match '3113' }
    Wait-For 'the event log has the failed probe' { (Get-Entry 11) -match '3113' }
    Invoke-RestMethod -Method Delete -Uri "$management/sim/fault" | Out-Null
    Wait-For 'the fault ends' { (Get-Page '/metrics') -match '(?m)^ekm_probe_success\{[^}]*\} 1' }

    Assert-Installer 0 "/fa `"$Msi`" ARGUMENTS=--no-such-flag"
    Assert (Get-Page '/-/healthy') 'a repair reads no property'
    Assert-Installer 1603 "/i `"$Next`" ARGUMENTS=--no-such-flag"
    Assert ((Get-Content -Raw "$base\install.log") -match 'no-such-flag') 'install.log states why the upgrade failed'
    Assert ((Get-Installed) -eq $version) "the previous version is restored: $(Get-Installed)"
    Wait-For 'the previous version runs again' { (Get-Page '/-/healthy') -ne $null }

    Assert-Installer 0 "/i `"$Next`""
    Assert ((Get-Installed) -eq '99.0.0') "the next version replaces the previous one: $(Get-Installed)"
    Assert ((Get-Content -Raw "$base\service.json") -match '10\.1\.2\.3') 'the settings stay'
    Assert ((Get-Page '/metrics') -match 'contoso-key0') 'the configuration stays, and the service listens'
    foreach ($name in 'python\python.exe', 'python\python313.dll', 'lib\_cffi_backend.cp313-win_amd64.pyd') {
        Assert (Test-Path -LiteralPath "$base\app\$name") "a file with a version is there after the upgrade: $name"
    }
    Assert-Installer 1603 "/i `"$Msi`""
    Assert ((Get-Installed) -eq '99.0.0') 'an older version is refused'

    Stop-Service -Name ekm-exporter
    Wait-For 'the event log has the stop' { (Get-Entry 2) -match 'stopped' }
    Remove-Item -LiteralPath "$base\app\lib\exporter\__init__.py", "$base\app\python\python313.dll"
    Assert-Installer 0 "/fa `"$Next`""
    Assert ((Test-Path "$base\app\lib\exporter\__init__.py") -and (Get-Page '/-/healthy')) 'a repair restores missing files, and the service runs'

    Assert-Installer 0 "/x `"$Next`""
    Assert (@(Get-ChildItem -LiteralPath $base -Name | Where-Object { $_ -in 'ekm.yml', 'secrets', 'state', 'logs' }).Count -eq 4) 'an uninstallation keeps the data'
    Assert (-not (Test-Path -LiteralPath "$base\app") -and -not (Get-Service -Name ekm-exporter -ErrorAction SilentlyContinue)) 'and nothing of the program'

    # Two hosts over remoting: this one, and one that does not exist. As `inventory --per-host` writes them: a list, and secrets that they share.
    Enable-PSRemoting -Force -SkipNetworkProfileCheck | Out-Null
    foreach ($name in 'localhost', 'no-such-host.invalid') {
        New-Item -ItemType Directory -Path "$work\hosts\$name\targets.d" | Out-Null
        Copy-Item "$work\sim\ekm.yml" "$work\hosts\$name"
        Set-Content -Encoding ASCII "$work\hosts\$name\targets.d\part.yml" 'targets: []'
    }
    Copy-Item -Recurse "$work\sim\secrets" "$work\hosts\secrets"
    Set-Content -Encoding ASCII "$work\hosts\hosts.csv" "# mark`nhost,secrets`nlocalhost,ekm-credential`nno-such-host.invalid,"
    $would = & $many -Hosts "$work\hosts" -Msi $Msi -Only localhost -WhatIf
    Assert ($would.Result -like 'would change: program*' -and -not (Get-Installed)) '-WhatIf reports what would change, and changes nothing'
    $rows = @(& $many -Hosts "$work\hosts" -Msi $Msi)
    $rows | Format-Table | Out-String | Write-Host
    Assert ($rows.Count -eq 2 -and $LASTEXITCODE -eq 1) 'each host has a row, and the exit code is 1 because one failed'
    Assert ($rows[0].Result -like 'changed:*' -and $rows[1].Result -eq 'failed') 'the host that does not answer stops no other'
    Assert (Test-Path "$base\targets.d\part.yml") 'the files of targets.d are installed'
    Assert ((& $many -Hosts "$work\hosts" -Msi $Msi -Only localhost).Result -eq 'unchanged') 'a second run changes nothing'
    $moved = & $many -Hosts "$work\hosts" -Msi $Msi -Only localhost -Listen ':10399'
    Assert ($moved.Result -like 'changed:*service*') "another port is a change: $($moved.Result)"
    Wait-For 'the exporter listens on the other port' { (Invoke-WebRequest -UseBasicParsing 'http://127.0.0.1:10399/-/healthy').StatusCode -eq 200 }
} finally {
    Stop-Process -Id $simulator.Id -Force
}

Assert-Installer 0 "/x `"$Msi`" REMOVEDATA=1"
Assert (@(Get-Trace).Count -eq 0) "nothing is left $(Get-Trace)"
exit 0
