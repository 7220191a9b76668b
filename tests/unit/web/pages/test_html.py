"""Every text on a page is escaped."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.web.pages.html import Html, Urls, element, markup, prose

HOSTILE = "<script>alert('x')</script>\"&"


def test_children_and_attributes_are_escaped():
    assert element("td", HOSTILE, title=HOSTILE) == (
        '<td title="&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot;&amp;">'
        "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot;&amp;</td>"
    )


def test_an_element_inside_an_element_is_not_escaped_again():
    assert element("p", element("b", "a & b"), " < c") == "<p><b>a &amp; b</b> &lt; c</p>"


def test_attributes_can_be_left_out_or_bare():
    assert element("input", disabled=True, value=None, hidden=False, class_="a", data_label="b") == (
        '<input disabled class="a" data-label="b">'
    )


def test_children_may_be_nested_numbers_or_nothing():
    assert markup(["a", None, [1, (2.5, Html("<br>"))]]) == "a12.5<br>"


def test_control_characters_are_shown_as_replaced():
    assert markup("a\x00b\x1b[31m\nc") == "a\ufffdb\ufffd[31m\nc"


@given(st.text())
def test_no_text_can_open_a_tag_or_leave_an_attribute(words):
    written = element("a", words, href=words)
    assert written.count("<") == 2
    assert written.count('"') == 2


@given(st.text())
def test_no_text_of_a_code_can_open_a_tag_beyond_its_code_spans(words):
    written = prose(words)
    assert written.count("<") == written.count("<code>") + written.count("</code>")


def test_ticks_become_code_spans():
    assert prose("run `SELECT 1` & wait") == "run <code>SELECT 1</code> &amp; wait"


def test_names_in_addresses_are_quoted():
    site = Urls("/ekm", "1")
    assert site.target("a/../b?c#d") == "/ekm/targets/a%2F..%2Fb%3Fc%23d"
    assert site.to("/targets/{}/probes/{}", "a{}", "1/2") == "/ekm/targets/a%7B%7D/probes/1%2F2"
    assert site.to("/probe", query=[("target", "a&b=c")]) == "/ekm/probe?target=a%26b%3Dc"
