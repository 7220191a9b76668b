"""The documentation for the command line: every way to name a page, and the part below a heading."""

import pytest

from docs.generators import site
from exporter.presentation.documentation import Documentation


@pytest.fixture(scope="module")
def documentation():
    return Documentation(site.archive())


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("doctor", "doctor"),
        ("Doctor.MD", "doctor"),
        ("docs/doctor.md", "doctor"),
        ("docs/doctor", "doctor"),
        ("docs\\doctor.md", "doctor"),
        ("../../docs/doctor.md", "doctor"),
        ("/docs/doctor", "doctor"),
        ("EkmEgressDown", "runbooks/EkmEgressDown"),
        ("runbooks/EkmEgressDown", "runbooks/EkmEgressDown"),
        ("docs/runbooks/EkmEgressDown.md", "runbooks/EkmEgressDown"),
        ("alerts/runbooks/EkmEgressDown.md", "runbooks/EkmEgressDown"),
        ("http://sqlhost1:10377/docs/runbooks/EkmEgressDown.md", "runbooks/EkmEgressDown"),
        ("https://docs.example.com/ekm-exporter/runbooks/EkmEgressDown.md", "runbooks/EkmEgressDown"),
        ("prove.sql", "scripts/prove.sql"),
        ("exporter/sqlserver/scripts/prove.sql", "scripts/prove.sql"),
        ("README", "README"),
        ("README.md", "README"),
        ("deploy/prometheus/ekm-metrics.yml", "deploy/prometheus/ekm-metrics.yml"),
        ("alerts/alertmanager.yml", "alertmanager.yml"),
        ("docs/examples/ekm.yml", "examples/ekm.yml"),
    ],
)
def test_page_is_found_by_each_of_its_names(documentation, reference, name):
    assert [page.name for page in documentation.look_up(reference)] == [name]


@pytest.mark.parametrize("reference", ["", ".md", "/", "nowhere", "octor", "http://sqlhost1:10377/docs/", "index", "runbooks"])
def test_other_name_means_no_page(documentation, reference):
    assert documentation.look_up(reference) == ()


def test_end_of_several_paths_means_all_of_them(documentation):
    names = [page.name for page in documentation.look_up("ekm.yml")]
    assert "examples/ekm.yml" in names
    assert len(names) > 1


def test_file_is_as_in_the_repository(documentation):
    files = {page.source: documentation.text(page) for page in documentation.pages()}
    assert files == {source: (site.ROOT / source).read_text(encoding="utf-8") for source in files}
    assert {"README.md", "docs/doctor.md", "LICENSE", "deploy/windows/install-hosts.ps1"} <= set(files)


def test_every_anchor_of_a_page_has_its_part(documentation):
    for page in documentation.pages():
        parts = documentation.parts(page)
        assert all(part.startswith(("#", "<a id=")) for part in parts.values()), page.name
        assert bool(parts) == page.source.endswith(".md"), page.name


def test_part_ends_at_the_next_heading_of_its_level(documentation):
    page = documentation.find("doctor")
    parts = documentation.parts(page)
    text = documentation.text(page)
    whole, *rest = parts
    assert parts[whole] == text[text.index("# ") :]
    level = {name: len(part) - len(part.lstrip("#")) for name, part in parts.items()}
    below = [name for name in rest if level[name] == 2]
    assert "".join(parts[name] for name in below) == text[text.index(parts[below[0]]) :]


def test_part_of_a_code_is_its_entry_alone(documentation):
    part = documentation.parts(documentation.find("codes"))["3303"]
    assert part.startswith('<a id="3303"></a>\n\n### 3303 ErrorGetTokenBadCredentials\n')
    assert part.count("\n### ") == 1
    assert "<a id=" not in part[1:]


def test_page_of_another_file_shows_its_escaped_text(documentation):
    html = documentation.html(documentation.find("scripts/prove.sql"))
    assert html.startswith('<h1>exporter/sqlserver/scripts/prove.sql</h1>\n<pre tabindex="0"><code>-- Proves on request')
    assert "N&#x27;" in html
