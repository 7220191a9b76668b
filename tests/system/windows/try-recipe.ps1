#Requires -Version 5.1
<#
.SYNOPSIS
Runs the PowerShell recipe of docs/patch-night.md with programs that answer ready, or fail in some way. Ends with an error if it restarts wrongly.
.PARAMETER Page
The page with the recipe.
#>
[CmdletBinding()]
param([Parameter(Mandatory)][string]$Page)
$ErrorActionPreference = 'Stop'
$found = [regex]::Matches([IO.File]::ReadAllText((Get-Item -LiteralPath $Page).FullName), '(?s)```powershell\r?\n(.*?)```')
if ($found.Count -ne 1) { throw "FAILED: $Page has $($found.Count) blocks of PowerShell" }
$recipe = [scriptblock]::Create($found[0].Groups[1].Value)
$work = Join-Path ([IO.Path]::GetTempPath()) ([Guid]::NewGuid())
$before = $env:PATH
$seen = @{ Restarts = 0 }

# A function comes before the command of the same name.
function Restart-Service([string]$Name, [switch]$Force) {
    Write-Verbose "$Name $Force"
    $seen.Restarts++
}

# `Program` are the lines of ekm-exporter.cmd; without lines there is no program.
$cases = @(
    @{ What = 'a missing program'; Program = @(); Restarts = 0 }
    @{ What = 'a program without output'; Program = @('@exit /b 0'); Restarts = 0 }
    @{ What = 'a program that fails'; Program = @('@exit /b 1'); Restarts = 0 }
    @{ What = 'garbage'; Program = @('@echo it works'); Restarts = 0 }
    @{ What = 'the word alone'; Program = @('@echo ready'); Restarts = 0 }
    @{ What = 'JSON of another program'; Program = @('@echo {"status": "ready"}'); Restarts = 0 }
    @{ What = 'several answers'; Program = @('@echo [{"answer": "not_ready"}, {"answer": "ready"}]'); Restarts = 0 }
    @{ What = 'output that a time-out cut'; Program = @('@echo {"answer": "ready",', '@exit /b 124'); Restarts = 0 }
    @{ What = 'not known'; Program = @('@echo {"answer": "not_known", "reasons": []}', '@exit /b 1'); Restarts = 0 }
    @{ What = 'not ready, and a lost exit code'; Program = @('@echo {"answer": "not_ready", "reasons": []}', '@exit /b 0'); Restarts = 0 }
    @{ What = 'ready'; Program = @('@echo {"answer": "ready", "reasons": []}', '@exit /b 0'); Restarts = 1 }
)
$gate = New-Object PSObject -Property @{ answer = 'ready' } # of an earlier run in the same console
try {
    foreach ($case in $cases) {
        $place = Join-Path $work $case.What
        New-Item -ItemType Directory -Path $place | Out-Null
        if ($case.Program.Count) { Set-Content -Encoding ASCII -LiteralPath "$place\ekm-exporter.cmd" -Value $case.Program }
        $env:PATH = "$place;$env:SystemRoot\System32"
        & $env:ComSpec /c 'exit 0' # the last program succeeded
        $seen.Restarts = 0
        $ending = 'no error'
        $ErrorActionPreference = 'Continue' # as in a console
        try { & $recipe | Out-Null } catch { $ending = "$_" }
        $ErrorActionPreference = 'Stop'
        if ($seen.Restarts -ne $case.Restarts) { throw "FAILED: $($case.What): $($seen.Restarts) restarts; $ending" }
        if ($case.Restarts -eq 0 -and $ending -eq 'no error') { throw "FAILED: $($case.What): the script goes on" }
        Write-Host "ok: $($case.What): $($seen.Restarts) restarts; $ending"
    }
    if ($gate.answer -ne 'ready') { throw 'FAILED: the recipe changes a variable of its caller' }
} finally {
    $env:PATH = $before
    Remove-Item -LiteralPath $work -Recurse -Force
}
exit 0
