"""Every text on a page is escaped, and every command has a button that copies it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.knowledge import advice
from exporter.knowledge.code_row import WRITE_SECRET
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reasons import Reason
from exporter.web.pages.html import COPY, Html, Urls, action_list, copyable, element, is_command, markup, prose, with_copies

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


# Spans of actions with a blank that nobody can run.
NAMES = {
    "--kty RSA-HSM", "Hybrid agent extension applications", "Key Vault Crypto Service Encryption User",
    "Managed HSM Crypto Service Encryption User", "PROVIDER_KEY_NAME = 'KEY', CREATION_DISPOSITION = OPEN_EXISTING", "Registry rights",
    "SQL Server Connector for Microsoft Azure Key Vault", 'azure.workload.identity/use: "true"', "max server memory (MB)",
}  # fmt: skip


def every_action():
    yield from (action for row in BY_CODE.values() for action in row.actions)
    for reason in Reason:
        row = reason.row
        at_sign_in = () if row.at_sign_in is None else row.at_sign_in.actions
        for actions in (row.actions, row.on_hsm, row.if_private, row.if_page, at_sign_in, *row.by_kind.values()):
            yield from actions


def test_every_command_of_an_action_has_a_button():
    spans = {span for action in every_action() for span in re.findall("`([^`]+)`", action) if " " in span and " > " not in span}
    assert {span for span in spans if not is_command(span)} == NAMES
    assert not any(map(is_command, ("interval", "sys.credentials", "netlogon x", "Key vaults > VAULT > Settings")))


def test_each_command_of_a_text_has_its_own_button():
    shown = with_copies("Set `interval`, run `az a` or `ls -l <F>`.")
    span = '<span data-copy><code>{}</code> <button type="button" class="copy">Copy</button></span>'
    assert shown == f"Set <code>interval</code>, run {span.format('az a')} or {span.format('ls -l &lt;F&gt;')}."
    assert copyable("Run `az a`, then `az b`.").count(COPY) == 2
    assert copyable("Run `az abcdefgh` with `interval`.").count(COPY) == 1
    beside = copyable("Run `az a` with `interval`.")  # the button of the whole copies the longest one
    assert f"<span data-copy><code>az a</code> {COPY}</span>" in beside


def test_a_definition_is_no_numbered_step():
    write, what = WRITE_SECRET
    shown = action_list([write, what, "Test it."])
    assert re.sub("<button.*?</button>", "", shown).count("<li>") == 2
    assert "The secret there is the client id" in shown.split("<li>")[1]
    assert advice.steps([what, "Test it."]) == [[what], ["Test it."]]  # nothing is before it


@pytest.mark.parametrize("beginning", advice._NOTES)
def test_each_definition_follows_a_step(beginning):
    assert any(action.startswith(beginning) for action in every_action())


@given(st.text())
def test_no_text_of_a_command_can_open_a_tag(words):
    written = with_copies(f"`az {words}`").replace(COPY, "")
    assert written.count("<") == 2 * (written.count("<code>") + written.count("<span data-copy>"))
