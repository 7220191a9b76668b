"""The PowerShell scripts parse, and use commands and variables that exist in Windows PowerShell 5.1."""

import re
from pathlib import Path

import pytest
from tree_sitter import Node

from tests.repo.powershell import errors, parsed, texts

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for place in ("deploy", "exporter", "tests/system/windows")
    for path in (ROOT / place).rglob("*.ps1")
)
COMMANDS = set(
    re.findall(
        r"\S+",
        """
    Add-Type Compare-Object ConvertFrom-Csv ConvertFrom-Json ConvertTo-Json Copy-Item Enable-PSRemoting Expand-Archive Export-Csv ForEach-Object Format-Table
    Get-ChildItem Get-CimInstance Get-Command Get-Content Get-Credential Get-FileHash Get-Item Get-ItemProperty Get-NetFirewallRule
    Get-NetTCPConnection Get-Process Get-Service Get-WinEvent Import-Module Invoke-Command Invoke-RestMethod Invoke-WebRequest Join-Path Measure-Object
    Move-Item New-Item New-NetFirewallRule New-Object New-PSSession New-PSSessionOption Out-Null Out-String Read-Host Remove-Item
    Remove-NetFirewallRule Remove-PSSession Rename-Item Select-Object Set-Content Set-ExecutionPolicy Set-StrictMode Sort-Object Split-Path
    Start-Process Start-Service Start-Sleep Stop-Process Stop-Service Test-Path Unblock-File Where-Object Write-Host Write-Output Write-Verbose
    Write-Warning icacls.exe sc.exe New-EventLog Write-EventLog Remove-EventLog New-ItemProperty Remove-ItemProperty schtasks.exe netsh.exe
    """,
    )
)
AUTOMATIC = set(
    re.findall(
        r"\S+",
        """
    _ args confirmpreference env erroractionpreference executioncontext false home input lastexitcode matches myinvocation null
    pid progresspreference psboundparameters pscmdlet pscommandpath psscriptroot psversiontable true whatifpreference
    """,
    )
)


TRYING = "tests/system/windows/trying.ps1"


def tree(script: str) -> Node:
    return parsed((ROOT / script).read_bytes())


def functions(script: str) -> set[str]:
    """The functions of a script, also of one that it begins with."""
    begins = '. "$PSScriptRoot\\trying.ps1"\n' in (ROOT / script).read_text()
    return set(texts(tree(script), "function_name")) | (functions(TRYING) if begins else set())


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_parses(script):
    assert [one.start_point for one in errors(tree(script))] == []


@pytest.mark.parametrize("script", [one for one in SCRIPTS if "windows" in one])
def test_script_calls_known_commands(script):
    called = {name for name in texts(tree(script), "command_name") if name[0].isalpha()}
    assert called - functions(script) <= COMMANDS


@pytest.mark.parametrize("script", [one for one in SCRIPTS if "windows" in one])
def test_script_reads_variables_that_it_sets(script):
    text = re.sub(r"(?s)<#.*?#>|(?m:^\s*#.*$)|'[^'\n]*'", "", (ROOT / script).read_text())
    found = {name.lower() for name in re.findall(r"\$\{?(\w+)", text)}
    assigned = {
        name.lower() for name in re.findall(r"\$(\w+)\s*(?:=|\bin\b|,\s*\$\w+\s*=)", text) + re.findall(r",\s*\$(\w+)\s*=", text)
    }
    parameters = {name.lower() for name in re.findall(r"\]\s*\$(\w+)", text) + re.findall(r"param\(\s*\$(\w+)", text)}
    listed = {name.lower() for names in re.findall(r"param\(([^)]*)\)", text) for name in re.findall(r"\$(\w+)", names)}
    assert found - assigned - parameters - listed - AUTOMATIC == set()


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_needs_no_newer_powershell(script):
    text = (ROOT / script).read_text()
    assert "#Requires -Version 5.1" in text or "windows" not in script
    assert re.findall(r"\?\?|\?\.\w|&&|\|\||(?<!\w)clean \{", text) == []
    assert text.isascii()
