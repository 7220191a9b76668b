#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Compares what `doctor` reports about another account of this Windows host with what that account may do. Ends with an error if they differ.
.PARAMETER Zip
The zip of the release.
#>
[CmdletBinding()]
param([Parameter(Mandatory)][string]$Zip)
. "$PSScriptRoot\trying.ps1"
$work = 'C:\ekm-try-doctor'
$account = 'NT AUTHORITY\NETWORK SERVICE'
$service = 'MSSQL$TRY' # a service that never runs
$instances = 'HKLM:\SOFTWARE\Microsoft\Microsoft SQL Server\Instance Names\SQL'
$key = 'HKLM:\SOFTWARE\Microsoft\SQL Server Cryptographic Provider'
$internet = 'Registry::HKEY_USERS\S-1-5-20\Software\Microsoft\Windows\CurrentVersion\Internet Settings'
$source = 'SQL Server Connector for Microsoft Azure Key Vault'
$task = 'ekm-try-doctor'

# The checks by name. The vault is a host that Windows can reach, so the checks of the vault itself fail.
function Get-Check {
    $text = & $command doctor --vault login.microsoftonline.com --key 'Key0/0123456789abcdef0123456789abcdef' --connector-secret-file "$work\credential" --json
    $found = @{}
    foreach ($check in ($text | Out-String | ConvertFrom-Json).checks) { $found[$check.check] = $check }
    $found
}

function Assert-Check($Checks, [string]$Name, [string]$Outcome, [string]$Pattern) {
    $check = $Checks[$Name]
    Assert ($check.outcome -eq $Outcome -and $check.detail -match $Pattern) "$Name is $Outcome and matches '$Pattern': $($check.outcome), $($check.detail)"
}

# Does as the account what the connector does: writes below the key. Returns the proxy of the account for a vault.
function Invoke-AsService {
    Remove-Item -Force -ErrorAction SilentlyContinue -Path "$work\proxy.txt", "$work\done.txt"
    & schtasks.exe /create /f /tn $task /sc once /st 00:00 /ru 'NT AUTHORITY\NETWORKSERVICE' /tr "$work\as-service.cmd" | Out-Null
    & schtasks.exe /run /tn $task | Out-Null
    foreach ($second in 1..120) {
        if (Test-Path -LiteralPath "$work\done.txt") { break }
        Start-Sleep -Seconds 1
    }
    Assert (Test-Path -LiteralPath "$work\done.txt") 'the task of the account ended'
    "$(Get-Content -Raw -LiteralPath "$work\proxy.txt")".Trim()
}

Expand-Archive -LiteralPath $Zip -DestinationPath $work
$package = (Get-ChildItem -Path $work -Directory | Select-Object -First 1).FullName
$command = "$package\app\ekm-exporter.cmd"
& icacls.exe $work /grant '*S-1-5-20:(OI)(CI)M' /q | Out-Null
[IO.File]::WriteAllText("$work\credential", '66666666777788889999000000000000not-a-secret-but-long-enough')
Set-Content -Encoding ASCII -LiteralPath "$work\as-service.cmd" -Value @(
    '@reg.exe add "HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider\as-service" /f /reg:64'
    "@powershell.exe -NoProfile -Command ""[Net.WebRequest]::GetSystemWebProxy().GetProxy('https://contoso-prod.vault.azure.net/').Authority"" > $work\proxy.txt"
    "@echo done > $work\done.txt"
)
try {
    $checks = Get-Check
    Assert-Check $checks 'registry_rights' 'unknown' 'no SQL Server on this host'

    New-Item -Force -Path $instances | Out-Null
    New-ItemProperty -Path $instances -Name 'TRY' -Value 'MSSQL16.TRY' | Out-Null
    & sc.exe create $service binPath= C:\Windows\System32\cmd.exe obj= 'NT AUTHORITY\NetworkService' | Out-Null
    New-Item -Force -Path $key | Out-Null
    New-EventLog -LogName Application -Source $source
    Write-EventLog -LogName Application -Source $source -EventId 4096 -EntryType Error -Message 'Operation failed with error 3303'

    $checks = Get-Check
    Assert-Check $checks 'registry_rights' 'fail' 'NetworkService \(TRY, stopped\) lacks Full Control'
    Assert-Check $checks 'event_log' 'warn' '^3303: once'
    Assert-Check $checks 'windows_tls' 'pass' "Windows trusts the vault's certificate: HTTP \d+ as "
    Assert-Check $checks 'cluster_checkpoint' 'pass' 'not needed'
    Assert-Check $checks 'clock' $checks['clock'].outcome 'Windows Time is '
    Assert-Check $checks 'service_proxy' 'pass' 'NetworkService: direct; WinHTTP of this host: direct'
    $proxy = Invoke-AsService
    Assert (-not (Test-Path -Path "$key\as-service")) 'the account cannot write below the key, as doctor reports'
    Assert ($proxy -eq 'contoso-prod.vault.azure.net') "the account uses no proxy, as doctor reports: $proxy"

    # The commands that doctor prints grant the right and set the proxy.
    $lines = $checks['registry_rights'].fix -split "`n" | Where-Object { $_ -like '  *' -and $_ -notlike '*Format-List*' }
    & ([scriptblock]::Create(($lines -join "`n").Replace('NT SERVICE\MSSQLSERVER', $account)))
    New-ItemProperty -Force -Path $internet -Name 'ProxyServer' -Value 'proxy.example.com:3128' | Out-Null
    New-ItemProperty -Force -Path $internet -Name 'ProxyEnable' -Value 1 -PropertyType DWord | Out-Null
    & netsh.exe winhttp set proxy other.example.com:8080 | Out-Null

    $checks = Get-Check
    Assert ($checks['registry_rights'].detail -match 'NetworkService \(TRY, stopped\) has Full Control') "the right is seen: $($checks['registry_rights'].detail)"
    Assert-Check $checks 'service_proxy' 'warn' 'NetworkService: through proxy.example.com:3128, but the exporter reaches the vault directly'
    Assert-Check $checks 'service_proxy' 'warn' 'WinHTTP of this host: through other.example.com:8080'
    $proxy = Invoke-AsService
    Assert (Test-Path -Path "$key\as-service") 'the account can write below the key, as doctor reports'
    Assert ($proxy -eq 'proxy.example.com:3128') "the account uses the proxy, as doctor reports: $proxy"
} finally {
    $ErrorActionPreference = 'Continue'
    & netsh.exe winhttp reset proxy | Out-Null
    & schtasks.exe /delete /f /tn $task | Out-Null
    & sc.exe delete $service | Out-Null
    Remove-EventLog -Source $source -ErrorAction SilentlyContinue
    Remove-ItemProperty -Path $internet -Name 'ProxyServer', 'ProxyEnable' -ErrorAction SilentlyContinue
    Remove-ItemProperty -Path $instances -Name 'TRY' -ErrorAction SilentlyContinue
    Remove-Item -Recurse -Force -ErrorAction SilentlyContinue -Path $key, $work
}
exit 0
