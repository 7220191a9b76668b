"""The pages for operators can be followed: commands parse, configurations load, queries are PromQL."""

import re
import shutil
from pathlib import Path

import certifi
import promql_parser
import pytest
import yaml

from exporter.cli.main import build_parser
from exporter.config.load import load_config
from exporter.knowledge.reasons import Reason
from exporter.metrics.families import BY_NAME
from tests.support.transcripts import blocks, transcript

ROOT = Path(__file__).parents[3]
PAGES = [
    "install", "production", "recovery-pending", "placement", "private-endpoints", "clouds", "sizing", "connector-upgrade", "troubleshooting",
    "upgrading", "rollover", "key-rotation", "recovery", "sql-host", "managed-identity",
]  # fmt: skip
RECORDED = re.compile(r"(?:target|credential):ekm_\w+(?::\w+)?")


def text(page: str) -> str:
    return (ROOT / "docs" / f"{page}.md").read_text()


def commands(page: str) -> list[str]:
    shell = "\n".join(blocks(text(page), "sh")).replace("\\\n", " ")
    spans = re.findall(r"`ekm-exporter ([a-z]+ [^`\n]*--config\.file [^`\n]+)`", text(page))
    typed = re.findall(r"^ekm-exporter ([a-z][^\n>]*)", "\n".join(command for command, _ in transcript(text(page))), re.MULTILINE)
    return spans + typed + re.findall(r"(?:^|/)ekm-exporter ((?!\.)[a-z]+ -?[^\n|&;]*)$", shell, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_page_commands_parse(page):
    for command in commands(page):
        assert build_parser().parse_args(command.split()).handler


@pytest.mark.parametrize("page", PAGES)
def test_page_configurations_load(page, tmp_path):
    (tmp_path / "secrets").mkdir()
    shutil.copy(certifi.where(), tmp_path / "corp-ca.pem")
    for name in ("ekm-credential", "ekm-credential-2027", "sql-prod", "probe-only"):
        (tmp_path / "secrets" / name).write_text("0" * 32 + "planted")
        (tmp_path / "secrets" / name).chmod(0o600)
    for code in blocks(text(page), "yaml"):
        shown = yaml.safe_load(code)
        written = yaml.safe_dump(shown["config"]) if "config" in shown else code  # of the chart, or a file
        if "targets" in shown.get("config", shown):
            (tmp_path / "ekm.yml").write_text(re.sub(r"/run/credentials/[\w.-]+|/etc/ekm-secrets", "secrets", written))
            assert load_config(tmp_path / "ekm.yml").problems == ()


@pytest.mark.parametrize("page", PAGES)
def test_page_promql_parses(page):
    for code in blocks(text(page), "promql"):
        for query in code.strip().splitlines():
            promql_parser.parse(query)


@pytest.mark.parametrize("page", PAGES)
def test_page_metrics_exist(page):
    prose = re.sub(r"`ekm_enabled`|ekm_exporter-|ekm_\.\+|\w+_ekm_cred|EKM_Prov", "", RECORDED.sub("", text(page)))
    named = set(re.findall(r"\b(?:mssql_)?ekm_[a-z_]+", prose))
    assert {re.sub(r"_bucket$", "", name) for name in named} <= set(BY_NAME)


@pytest.mark.parametrize("page", PAGES)
def test_page_alerts_exist(page):
    known = {path.stem for path in (ROOT / "alerts" / "runbooks").iterdir()} | {"EkmWatchdog", "EkmTest"}  # EkmTest: sent by hand
    known |= set(re.findall(r"- alert: (\w+)", (ROOT / "alerts" / "ekm-sql.rules.yml").read_text()))
    assert set(re.findall(r"\bEkm[A-Z]\w+", text(page))) <= known


@pytest.mark.parametrize("page", sorted(path.stem for path in (ROOT / "docs").glob("*.md")))
def test_page_reasons_exist(page):
    assert set(re.findall(r"reason `(\w+)`", text(page))) <= {str(reason) for reason in Reason}


def test_readme_links_every_page():
    section = (ROOT / "README.md").read_text().split("## Documentation\n")[1].split("\n## ")[0]
    assert set(re.findall(r"\(docs/([\w-]+)\.md\)", section)) == {path.stem for path in (ROOT / "docs").glob("*.md")}
