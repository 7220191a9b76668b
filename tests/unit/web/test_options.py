"""The two URL prefixes are derived as in blackbox_exporter."""

import pytest

from exporter.web.options import web_options


@pytest.mark.parametrize(
    ("external_url", "route_prefix", "served_at", "linked_at"),
    [
        ("", None, "", ""),
        ("", "/", "", ""),
        ("", "ekm", "/ekm", "/ekm"),
        ("", "/ekm/", "/ekm", "/ekm"),
        ("https://prom.example/ekm/", None, "/ekm", "/ekm"),
        ("https://prom.example", None, "", ""),
        ("https://prom.example/ekm", "/", "", "/ekm"),
        ("/a/b", None, "/a/b", "/a/b"),
        ("http://prom.example/out", "/in", "/in", "/out"),
    ],
)
def test_the_prefixes_follow_the_external_url_by_default(external_url, route_prefix, served_at, linked_at):
    options = web_options(external_url=external_url, route_prefix=route_prefix)
    assert (options.route_prefix, options.link_prefix) == (served_at, linked_at)


@pytest.mark.parametrize(
    ("external_url", "message"),
    [
        ("ftp://host/", "--web.external-url: write http://HOST/PATH, https://HOST/PATH or /PATH"),
        ("//host/path", "--web.external-url: write http://HOST/PATH, https://HOST/PATH or /PATH"),
        ("http:/path", "--web.external-url: write http://HOST/PATH, https://HOST/PATH or /PATH"),
        ("http://host/?a=b", "--web.external-url: remove the query and the fragment"),
        ("http://[::1/", "--web.external-url: Invalid IPv6 URL"),
    ],
)
def test_invalid_external_url_is_refused_in_one_line(external_url, message):
    with pytest.raises(ValueError, match=r"^--web\.external-url") as caught:
        web_options(external_url=external_url)
    assert str(caught.value) == message


@pytest.mark.parametrize("route_prefix", ["/a{b}", "a?b", "a#b", "a\nb", "a b"])
def test_invalid_route_prefix_is_refused(route_prefix):
    with pytest.raises(ValueError, match="cannot be a path: write /PATH"):
        web_options(route_prefix=route_prefix)


@pytest.mark.parametrize("offset", [-0.1, float("nan"), float("inf")])
def test_invalid_timeout_offset_is_refused(offset):
    with pytest.raises(ValueError, match=r"^--timeout-offset"):
        web_options(timeout_offset=offset)
