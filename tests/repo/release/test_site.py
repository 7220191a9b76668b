"""The searchable site has every page, file and picture, needs no other host, and is refused with a broken link."""

import json
import re
import zipfile
from pathlib import Path

import pytest

from docs.generators.moved import MOVED
from docs.generators.site import ROOT, SitePages, build, write_project

MKDOCS = ROOT / ".cache" / "site"
README = """\
# Example

![A picture](docs/images/a.png)

## Documentation

| to | read |
| --- | --- |
| change keys | [rotate a key](docs/rotation.md) · [one part](docs/rotation.md#steps) |
| look up | [an example](docs/examples/ekm.yml) |
"""


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout with one page of each kind."""
    files = {
        "README.md": README,
        "SECURITY.md": "# Security\n",
        "docs/rotation.md": "# Rotating\n\n## Steps\n\n[Overview](../README.md#documentation), [alert](../alerts/runbooks/EkmDown.md)\n",
        "docs/examples/ekm.yml": "targets: []\n",
        "docs/images/a.png": "picture",
        "alerts/runbooks/EkmDown.md": "# EkmDown\n",
        "docs/generators/moved.py": 'MOVED = {"old": "rotation#steps", "rotation": "old"}\n',
    }
    for name, text in files.items():
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkout" / name).write_text(text)
    return tmp_path / "checkout"


def test_links_and_pictures_lead_to_files_of_the_site(checkout):
    pages = {name: content for name, _, content in SitePages(checkout).rendered()}
    assert re.findall(r'(?:href|src)="([^"]+)"', pages["index.html"]) == [
        *("images/a.png", "rotation.html", "rotation.html#steps", "examples/ekm.yml"),
    ]
    assert re.findall(r'href="([^"]+)"', pages["rotation.html"]) == ["index.html#documentation", "runbooks/EkmDown.html"]


def test_old_name_leads_to_the_part_unless_a_page_has_it(checkout, tmp_path):
    write_project(tmp_path, checkout)
    assert 'content="0; url=rotation.html#steps"' in (tmp_path / "pages" / "old.html").read_text()
    assert not (tmp_path / "pages" / "rotation.html").exists()


@pytest.mark.parametrize(
    ("link", "named"),
    [
        ("gone.md", "docs/rotation.md: docs/gone.md"),
        ("../tests/gone.py", "docs/rotation.md: tests/gone.py"),
        ("#gone", "rotation.html: rotation.html#gone"),
        ("../README.md#gone", "rotation.html: index.html#gone"),
    ],
)
def test_link_to_nothing_is_refused_with_its_page(checkout, tmp_path, link, named):
    page = checkout / "docs" / "rotation.md"
    page.write_text(f"{page.read_text()}\n[broken]({link})\n")
    with pytest.raises(ValueError, match=f"^links to nothing:\n{re.escape(named)}$"):
        write_project(tmp_path, checkout)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("site") / "docs.zip"
    build(MKDOCS, path)
    with zipfile.ZipFile(path) as archive:
        return {name.removeprefix("docs/"): archive.read(name) for name in archive.namelist()}


@pytest.mark.tools
def test_site_has_every_page_file_and_picture(site):
    assert set(SitePages().names.values()) - set(site) == set()
    assert {f"{old}.html" for old in MOVED} - set(site) == set()
    assert site["alertmanager.yml"] == (ROOT / "alerts" / "alertmanager.yml").read_bytes()
    assert all(b"Copyright (c)" in site[f"{name}-LICENSE.txt"] for name in ("mkdocs-material", "iframe-worker"))


@pytest.mark.tools
def test_site_loads_nothing_from_another_host(site):
    loading = re.compile(
        r"""<(?:script|img|iframe|link|source)\b[^>]*?(?:src|href)="?(?:https?:)?//[^>]+>|url\(["']?(?:https?:)?//"""
    )
    texts = {name: content.decode() for name, content in site.items() if Path(name).suffix in (".html", ".css")}
    assert {name: loading.findall(text) for name, text in texts.items() if loading.search(text)} == {}
    assert len(texts) > 60


@pytest.mark.tools
def test_search_index_has_each_part_and_the_words_of_the_list(site):
    entries = {entry["location"]: entry for entry in json.loads(site["search/search_index.json"])["docs"]}
    assert entries["key-rotation.html"]["tags"][0].startswith("rotate")
    assert entries["codes.html#3303-errorgettokenbadcredentials"]["boost"] < 1
    assert {name for name in SitePages().names.values() if name.endswith(".html")} - set(entries) == set()
