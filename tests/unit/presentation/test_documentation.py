"""The documentation for the command line: every way to name a page, and the part below a heading."""

import json

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


# The search: an index of every page, and the order of what it finds.


def addresses(documentation, words):
    return [place.address for place, _ in documentation.search(words)]


def test_index_has_every_page_and_every_part_of_it(documentation):
    indexed = {row[0] for row in json.loads(documentation.search_index())["places"]}
    assert {page.name for page in documentation.pages()} == {address.partition("#")[0] for address in indexed}
    for page in documentation.pages():
        parts = {address.partition("#")[2] for address in indexed if address.startswith(f"{page.name}#")}
        anchors = documentation.parts(page)
        # The first heading is the page's, and a heading below an anchor of its own has that one.
        headings = [name for name, part in anchors.items() if part.startswith("#")][1:]
        named = [name for name, part in anchors.items() if part.startswith("<a id=")]
        assert (parts <= set(anchors), len(parts)) == (True, len(headings)), (page.name, named)
    assert all(row[4] or not row[0].endswith(".md") for row in json.loads(documentation.search_index())["places"])


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("rotate", "key-rotation"),
        ("rotations", "key-rotation"),
        ("how do I rotate the key?", "key-rotation"),
        ("secret", "rollover"),
        ("secret expires, how to renew without downtime", "rollover"),
        ("expired secrets", "expiry"),
        ("silence one vault", "alerts#silence-one-vault"),
        ("silencing", "alerts"),
        ("what does 3077 mean", "codes#3077"),
        ("3109", "codes#3109"),
        ("who may read the pages: password, TLS", "securing"),
        ("remove a server that is gone", "sql-servers#remove-a-server-that-is-gone"),
        ("upgrade Prometheus to 3", "alerts"),
        ("change the port", "install#how-do-i-change-the-port"),
        ("databases are in RECOVERY PENDING, what now", "recovery-pending"),
        ("what permissions does the exporter need", "permissions"),
        ("how much does it cost the vault", "sizing"),
        ("how many requests to the vault", "placement#requests"),
        ("secret wrong in SQL Server", "sql-host#credential-in-sql-server"),
        ("egress down", "runbooks/EkmEgressDown"),
        ("ekm_probe_success", "metrics#ekm_probe_success"),
    ],
)
def test_question_leads_to_its_page_within_three_places(documentation, words, address):
    found = addresses(documentation, words)[:3]
    assert any(each == address or each.startswith(f"{address}#") for each in found), found


def test_pages_written_by_hand_come_before_generated_ones_and_licences_last(documentation):
    weights = [place.weight for place, _ in documentation.search("vault")]
    assert min(weights) > 0.5
    assert addresses(documentation, "silence")[0].startswith("alerts")
    assert "LICENSE" not in addresses(documentation, "silence")
    by_page = {row[0]: row[3] for row in json.loads(documentation.search_index())["places"]}
    assert by_page["maintainers/licences"] < by_page["codes"] < by_page["runbooks/EkmEgressDown"] < by_page["rollover"]


def test_paragraph_with_a_heading_of_its_own_is_found_by_it_once_for_each_place(documentation):
    place, sentence = documentation.search("upgrade Prometheus to 3")[0]
    assert (place.address, place.heading) == ("alerts", "Upgrade Prometheus to 3")
    assert sentence.startswith("Upgrade Prometheus to 3: ")
    found = addresses(documentation, "silence one vault now")
    assert len(found) == len(set(found))


def test_secret_leads_to_roll_over_and_expiry(documentation):
    found = [address.partition("#")[0] for address in addresses(documentation, "secret")]
    assert set(found[:2]) == {"rollover", "expiry"}
    assert max(map(found.count, found)) <= 2


def test_heading_counts_more_than_text_and_shows_the_first_sentence(documentation):
    place, sentence = documentation.search("rolling secrets")[0]
    assert (place.address, sentence) == ("rollover", place.lines[0])


@pytest.mark.parametrize("words", ["", "?", "(", "a", "\\", "é", "\0", "zzzqqq", "[a-z" * 900])
def test_text_without_a_known_word_finds_nothing(documentation, words):
    assert documentation.search(words) == []


def test_many_words_find_places_as_the_first_of_them_do(documentation):
    assert documentation.search("rotate " * 2000) == documentation.search("rotate")
    assert len(documentation.search(" ".join(f"vault{number} key" for number in range(999)))) <= 8
