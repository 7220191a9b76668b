"""`explain` on what a DBA pastes: each text leads to its own meaning, and never to that of another number."""

import html
import re
import time
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli.main import main
from exporter.explain.explanation import LONGEST, OTHERWISE, explanation_data, explanation_text
from exporter.explain.known_texts import WINDOWS_ERRORS
from exporter.explain.messages import KNOWN_TEXTS, MESSAGES
from exporter.explain.numbers import labelled_codes, read
from exporter.explain.search import KINDS, explain, unknown
from exporter.knowledge.code_row import WORDS
from exporter.knowledge.reasons import Reason
from tests.support.web_server import Service, get, serving, words

THUMBPRINT = "0x2C5677D76F76D77F802C5677D76F76D77F802C56"
LOG = """2026-11-25 14:00:00.00 spid51      Error: 33111, Severity: 16, State: 4.
2026-11-25 14:00:00.00 spid51      Cannot find server asymmetric key with thumbprint '0x2C56'.
2026-11-25 14:00:01.00 spid51      Error: 3414, Severity: 21, State: 2.
2026-11-25 14:00:01.00 spid51      An error occurred during recovery, preventing the database 'sales' (6:0) from restarting."""


def title(text):
    found = explain(text)
    return None if found is None else found.title or str(found.rows[0].code)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Cannot load library 'x'", 33027),
        ("Msg 33027, Level 16, State 1. Cannot load library 'C:\\akv.dll'. See errorlog for more information.", 33027),
        ("15151", 15151),
        ("Msg 15151, Level 16, State 1, Line 3\nCannot find the asymmetric key 'K', because it does not exist or you do not have permission.", 15151),
        ("Cannot alter the credential 'C', because it does not exist or you do not have permission.", 15151),
        ("33082", 33082),
        ("Cannot find Cryptographic provider library with guid '{0}'.", 33082),
        ("Msg 33047, Level 16, State 1, Line 1\nFail to obtain or decrypt secret for credential 'ekm'.", 33047),
        ("Please create a master key in the database or open the master key in the session before performing this operation.", 15581),
        ("Msg 33106, Level 16, State 1, Line 2", 33106),
        ("9001", 9001),
        ("Error: 9001, Severity: 21, State: 5.", 9001),
        ("The log for database 'sales' is not available. Check the event log for related error messages.", 9001),
        ("error 3414", 3414),
        ("An error occurred during recovery, preventing the database 'sales' (database ID 6) from restarting.", 3414),
        ("The transaction log for database 'sales' is full due to 'LOG_BACKUP'.", 9002),
        ("Msg 33035", 33035),
        ("Msg 3013, Level 16, State 1, Line 1\nBACKUP LOG is terminating abnormally.", 3013),
        ("RESTORE DATABASE is terminating abnormally.", 3013),
        ("Error: 3041, Severity: 16, State: 1. BACKUP failed to complete the command BACKUP LOG sales.", 3041),
        ("Database 'sales' cannot be opened. It has been marked SUSPECT by recovery.", 926),
        *((str(number), number) for number in (823, 824, 926, 945)),
        ("Error: 926, Severity: 14, State: 1.", 926),
        ("Msg 824, Level 24, State 2", 824),
        *((text, None) for text in ("Cannot use the database, error: 945", "Provider error code: 945", "0x3B1", "945 GB", "945 ms")),
        ("Msg 945, Level 14, State 2, Line 1", 945),
        (LOG, 33111),
        ("Server principal 'x' has no credential associated with cryptographic provider 'AKV'.", 33046),
        ("Extensible key management is not supported in this edition of SQL Server.", 33054),
    ],
)  # fmt: skip
def test_message_of_sql_server_is_found_by_number_or_text(text, number):
    shown = title(text)
    assert (shown or "").startswith(f"Message {number} ") if number else shown is None


@pytest.mark.parametrize(
    ("head", "number"),
    [
        ("Meldung 33111, Ebene 16, Status 4, Zeile 1", 33111),
        ("Fehler: 33111, Schweregrad: 16, Status: 4.", 33111),
        ("Msg 33111, Niveau 16, \u00c9tat 4, Ligne 1", 33111),
        ("Erreur\u00a0: 33111, Gravit\u00e9\u00a0: 16, \u00c9tat\u00a0: 4.", 33111),
        ("Mens. 33111, Nivel 16, Estado 4, L\u00ednea 1", 33111),
        ("Meddelande 33111, niv\u00e5 16, tillst\u00e5nd 4", 33111),
        ("\u30e1\u30c3\u30bb\u30fc\u30b8 33111\u3001\u30ec\u30d9\u30eb 16\u3001\u72b6\u614b 4\u3001\u884c 1", 33111),
        ("\u6d88\u606f 9001\uff0c\u7ea7\u522b 21\uff0c\u72b6\u6001 4", 9001),
        ("\u0421\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u0435 3414, \u0443\u0440\u043e\u0432\u0435\u043d\u044c 21, \u0441\u043e\u0441\u0442\u043e\u044f\u043d\u0438\u0435 1", 3414),
    ],
)  # fmt: skip
def test_number_of_a_message_decides_in_any_language(head, number):
    assert title(head).startswith(f"Message {number} ")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Meldung 33028, Ebene 16, Status 1 Sitzung f\u00fcr 'AKV' kann nicht ge\u00f6ffnet werden. Anbieterfehlercode: 3303. (x)", 3303),
        ("Msg 33049, Niveau 16, \u00c9tat 2 La cl\u00e9 '3100' n'existe pas. Code d'erreur du fournisseur\u00a0: 2058. (x)", 2058),
        ("\u6d88\u606f 33028\uff0c\u7ea7\u522b 16\uff0c\u72b6\u6001 1 '3100' \u9519\u8bef\u4ee3\u7801: 3900\u3002", 3900),
        ("Anbieterfehlercode: 3303", 3303),
        ("C\u00f3digo de error del proveedor: 3113.", 3113),
        ("Key with name '3100' does not exist in the provider or access is denied. Provider error code: 2058.", 2058),
        ("Msg 33049 Key with name '3100' does not exist in the provider or access is denied.", None),
        ("[error: 3113, info: 403, state: 16] Key Name: 3100", 3113),
        ("Msg 3013, Level 16, State 1\nMsg 33028 Cannot open session. Provider error code: 3303.", 3303),
        ("Provider error code: 0xCE7", 3303),
        ("AADSTS999999: x. Provider error code: 3128", 3128),
        ("Provider error code: 5", 5),
        ("2026-11-25 14:00:00.00 spid51 Cannot open session for cryptographic provider 'AKV'. Provider error code: 3303. (Provider Error)", 3303),
        ("Vault Name: contoso, Operation: acquireToken, Message: [error:3108, info:401, state:16] refused", 3303),
        ("E3303", 3303),
        ("error 3077", 3077),
        ("code=3113", 3113),
        ("404 getKeyByName", 3076),
        ("HTTP 403 unwrapKey", 3077),
        ("429 wrap_key", 3011),
        ("ErrorHttpSendRequest", 3008),
        ("the log shows ErrorHttpSendRequest today", 3008),
        ("401", 401),
        ("3303.", 3303),
        ("(3077)", 3077),
        ("\u0663\u0663\u0660\u0663", 3303),
        ("[Error: 3303, Info: 401, State: 0] Server replied with error", 3303),
        ("Operation: UnwrapKey, Error: 3113, Info: 403", 3077),
        ("2026-11-26 10:11:12.13 spid51 Cannot find it. Provider error code: 2058. (Provider Error - No explanation is available)", 2058),
    ],
)  # fmt: skip
def test_provider_code_is_found_and_the_name_of_a_key_is_none(text, code):
    found = explain(text)
    assert (found.rows[0].code if found.is_code else None) == code


@pytest.mark.parametrize(
    "text",
    [
        "Msg 3101, Level 16, State 1, Line 1\nExclusive access could not be obtained because the database is in use.",
        "Msg 3202, Level 16, State 1, Line 1",
        "Error: 3206, Severity: 16, State: 1.",
        "Msg 3303",
        "Meldung 3112, Ebene 16, Status 1",
        "33033",
        "Msg 33052",
        "12345",
    ],
)
def test_message_of_sql_server_is_never_the_code_of_the_same_number(text):
    assert explain(text) is None
    assert "a message of SQL Server" in unknown(text)
    assert "Did you mean" not in unknown(text)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("RECOVERY_PENDING", "RECOVERY_PENDING"),
        ("sales (Recovery Pending)", "RECOVERY_PENDING"),
        ("database sales stays in recovery pending after the patch", "RECOVERY_PENDING"),
        ("SUSPECT", "SUSPECT"),
        ("database 'sales' is marked SUSPECT", "SUSPECT"),
        ("sales (Suspect)", "SUSPECT"),
        ("is marked SUSPECT by recovery", "SUSPECT"),
        ("Data movement for this database is suspended", "NOT SYNCHRONIZING"),
        ("EMERGENCY", "EMERGENCY"),
        ("state_desc = OFFLINE", "OFFLINE"),
        ("restoring", "RESTORING"),
        ("RECOVERING", "RECOVERING"),
        ("NOT SYNCHRONIZING", "NOT SYNCHRONIZING"),
    ],
)
def test_state_of_a_database_is_explained(text, state):
    assert title(text).endswith(f" state {state}")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("12029", "Windows error 12029: the connection failed"),
        ("info: 12007", "Windows error 12007: the host name did not resolve"),
        ("0x80072EE7", "Windows error 12007 (0x80072EE7): the host name did not resolve"),
        ("HRESULT: 0x80072F8F", "Windows error 12175 (0x80072F8F): the TLS handshake failed"),
        ("80072efd", "Windows error 12029 (0x80072EFD): the connection failed"),
        ("-2147012889", "Windows error 12007 (0x80072EE7)"),
        ("0x80070005", "Windows error 5 (0x80070005): access is denied"),
        ("Exception from HRESULT: 0x8007007E", "Windows error 126 (0x8007007E)"),
        ("0x80090325", "Windows error 0x80090325: the certificate of the server was issued by"),
        ("0x80071234", "Windows error 4660 (0x80071234): its text is not in this table"),
        ("0x80072F19 revocation", "Windows error 12057 (0x80072F19)"),
        ("Windows error 5", "Windows error 5: access is denied"),
        ("Win32 error code 2", "Windows error 2: a file or registry key was not found"),
        ("Operating system error 5(Access is denied.)", "Windows error 5"),
        ("Betriebssystemfehler 5(Zugriff verweigert)", "Windows error 5"),
        ("error 5: Access is denied", "Windows error 5"),
        ("socket error 10060", "Windows error 10060: the connection attempt timed out"),
        ("[error:3106, info:12007, state:16]", "Windows error 12007"),
        ("error 5", "Error 5: a provider code or an error of Windows"),
        ("5", "5"),
        ("0x80040CE7", "3303"),
        ("0xCE7", "3303"),
        ("ERROR_INTERNET_NAME_NOT_RESOLVED", "Windows error 12007"),
        ("SEC_E_UNTRUSTED_ROOT", "Windows error 0x80090325"),
        ("WSAETIMEDOUT 10060", "Windows error 10060"),
        ("0xC0000005", "Windows error 0xC0000005: its text is not in this table"),
        ("Access is denied.", "Windows error 5"),
        ("The specified module could not be found.", "Windows error 126"),
        ("The system cannot find the file specified.", "Windows error 2"),
    ],
)
def test_error_of_windows_is_not_a_provider_code(text, start):
    assert title(text).startswith(start)


def test_error_of_windows_names_the_code_in_the_same_event():
    assert [row.code for row in explain("[error:3106, info:12007, state:16]").rows] == [3106]
    assert "not provider code 5" in explain("Windows error 5").summary


@pytest.mark.parametrize("number", WINDOWS_ERRORS)
def test_every_error_of_windows_has_an_action(number):
    text = f"0x{number:08X}" if number > 0xFFFF else f"Windows error {number}"
    assert explain(text).actions


@pytest.mark.parametrize(
    ("text", "start", "code"),
    [
        ("Error when accessing registry: 5", "The connector cannot access its registry key: Windows error 5", 2058),
        ("Error when accessing registry: 0x80070002", "The connector cannot access its registry key: Windows error 2", 2058),
        ("Error when accessing registry: 1018", "The connector cannot access its registry key", 2058),
        ("Cannot find key with thumbprint in registry.", "The registry has no entry for the thumbprint", 2053),
        ("Cannot find key uri in registry. Fall back to use thumbprint decoding.", "No KeyUri for this key", 2053),
        ("Failed to get key info from Azure key vault for thumbprint verification before encrypting.", "The connector could not read", None),
        ("The AKV client hasn't been initialized. x", "The connector has no session", None),
        ("The description for Event ID 0 from source SQL Server Connector for Microsoft Azure Key Vault cannot be found.", "Windows has", None),
    ],
)  # fmt: skip
def test_text_of_the_connector_is_explained(text, start, code):
    found = explain(text)
    assert found.title.startswith(start)
    assert [row.code for row in found.rows] == ([code] if code else [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The remote name could not be resolved: 'contoso.vault.azure.net'", Reason.DNS_NOT_FOUND),
        ("The remote name could not be\n   resolved: 'contoso.vault.azure.net'", Reason.DNS_NOT_FOUND),
        ("No such host is known. (contoso.vault.azure.net:443)", Reason.DNS_NOT_FOUND),
        ("Resolve-DnsName : contoso.vault.azure.net : DNS name does not exist", Reason.DNS_NOT_FOUND),
        ("The underlying connection was closed: Could not establish trust relationship for the SSL/TLS secure channel.", Reason.TLS_UNTRUSTED),
        ("The request was aborted: Could not create SSL/TLS secure channel.", Reason.TLS_FAILED),
        ("The remote certificate is invalid because of errors in the certificate chain: NotTimeValid", Reason.TLS_EXPIRED),
        ("RemoteCertificateNameMismatch", Reason.TLS_WRONG_NAME),
        ("Unable to connect to the remote server", Reason.CONNECT_FAILED),
        ("No connection could be made because the target machine actively refused it 10.0.0.4:443", Reason.CONNECT_REFUSED),
        ("An existing connection was forcibly closed by the remote host.", Reason.CONNECTION_RESET),
        ("The operation has timed out.", Reason.CONNECT_TIMEOUT),
        ("TcpTestSucceeded       : False", Reason.CONNECT_TIMEOUT),
        ("The remote server returned an error: (407) Proxy Authentication Required.", Reason.PROXY_AUTH),
        ("407", Reason.PROXY_AUTH),
        ("curl: (60)", Reason.TLS_UNTRUSTED),
        ("curl: (60) SSL certificate problem: certificate has expired", Reason.TLS_EXPIRED),
        ("curl: (51) x", Reason.TLS_WRONG_NAME),
        ("curl: (6)", Reason.DNS_NOT_FOUND),
        ("curl: (7)", Reason.CONNECT_FAILED),
        ("curl: (28)", Reason.CONNECT_TIMEOUT),
        ("curl: (35)", Reason.TLS_FAILED),
        ("curl exit code 5", Reason.PROXY_UNRESOLVED),
        ("SqlException (0x80131904): The remote name could not be resolved", Reason.DNS_NOT_FOUND),
        ("WARNING: TCP connect to (10.0.0.4 : 443) failed", Reason.CONNECT_FAILED),
        ("A key with (name/id) K/1 was not found in this key vault.", Reason.KEY_NOT_FOUND),
        ("ManagedIdentityCredential authentication unavailable, no response from the IMDS endpoint.", Reason.IDENTITY_UNAVAILABLE),
        ("himds: status 403", Reason.IDENTITY_UNAVAILABLE),
        ('{"error":"invalid_client"}', Reason.CREDENTIALS_REFUSED),
        ("Reason: VaultRequestTypeLimitReached", Reason.THROTTLED),
        ("Client address is not authorized and caller is not a trusted service.", Reason.FORBIDDEN_FIREWALL),
        ("Public network access is disabled and request is not from a trusted service", Reason.FORBIDDEN_CONNECTION),
        ("Caller is not authorized to perform action on resource.", Reason.FORBIDDEN_RBAC),
        ("Caller was not found on any access policy", Reason.FORBIDDEN_POLICY),
        ("Operation unwrapKey is not allowed on a disabled key.", Reason.KEY_DISABLED),
        ("Operation unwrapKey is not permitted on this key.", Reason.KEY_OPERATION_FORBIDDEN),
        ("AADSTS50012: Invalid client secret is provided.", Reason.SECRET_WRONG),
        ("AADSTS50012: Assertion is not within its valid time range.", Reason.CLOCK_SKEW),
        ("1002016", Reason.OUTDATED_TLS),
        ('{"error":{"code":"Forbidden","message":"x","innererror":{"code":"ForbiddenByRbac"}}}', Reason.FORBIDDEN_RBAC),
        ('{"error":"invalid_client","error_description":"AADSTS7000222: expired","error_codes":[7000222]}', Reason.SECRET_EXPIRED),
        ('{"error":"x","error_codes":[50131, 53003]}', Reason.CONDITIONAL_ACCESS),
        ("https://login.microsoftonline.com/error?code=7000215", Reason.SECRET_WRONG),
        ("the portal shows 700016 today", Reason.APPLICATION_UNKNOWN),
        ("Provider error code: 3303. (x) AADSTS7000222: expired", Reason.SECRET_EXPIRED),
        ("Provider error code: 3113. Client address is not authorized and caller is not a trusted service.", Reason.FORBIDDEN_FIREWALL),
    ],
)  # fmt: skip
def test_sentence_of_a_tool_or_service_leads_to_its_reason(text, reason):
    assert explain(text).reason is reason


@pytest.mark.parametrize("text", ["9990001", "AADSTS9990002: x", '"error_codes":[9990003]'])
def test_number_of_entra_without_a_row_leads_to_its_description(text):
    found = explain(text)
    number = re.search(r"\d+", text)[0]
    assert found.title == f"AADSTS{number}: sign_in_refused"
    assert f"https://login.microsoftonline.com/error?code={number}" in found.actions[0]
    assert not any("reset" in each or "ALTER" in each for each in found.actions)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The remote server returned an error: (403) Forbidden.", 3077),
        ("Response status code does not indicate success: 429 (Too Many Requests).", 3011),
        ("curl: (22) The requested URL returned error: 404", 3076),
        ("StatusCode: 503", 3013),
        ("502 Bad Gateway", 3013),
        ("404 Not Found", 3076),
        ("403", 3077),
        ("HTTP 503", 3013),
        ("429", 3011),
    ],
)
def test_status_in_a_sentence_of_a_tool_names_its_code(text, code):
    found = explain(text)
    assert found.title == f"HTTP status {re.search('[45][0-9]{2}', text)[0]} of a vault"
    assert [row.code for row in found.rows] == [code]
    assert found.actions


def test_error_of_curl_without_a_reason_has_an_action():
    found = explain("curl: (92) HTTP/2 stream 0 was not closed cleanly")
    assert found.title == "Error 92 of curl"
    assert "`curl -v https://VAULT.vault.azure.net`" in found.actions[0]
    assert explain("User-Agent: curl/7.88.1") is None


def test_thumbprint_of_the_message_is_in_title_and_command():
    found = explain(f"Msg 33111, Level 16, State 4\nCannot find server asymmetric key with thumbprint '{THUMBPRINT}'.")
    assert found.title.endswith(f"with thumbprint {THUMBPRINT}")
    assert f"WHERE thumbprint = {THUMBPRINT};" in explanation_text(found)


@pytest.mark.parametrize("text", ["2058", "33111", "33106", "37563", "Error when accessing registry: 5"])
def test_commands_are_in_the_explanation(text):
    found = explain(text)
    commands = found.rows[0].commands if found.is_code else found.commands
    shown = explanation_text(found)
    assert commands
    assert [line for line in commands if f"  {line}" not in shown.splitlines()] == []
    assert explanation_data(found)["commands"] == list(commands)


def test_unknown_text_gets_the_nearest_and_the_general_way():
    assert "'Message 33028 of SQL Server: Cannot open session for cryptographic provider'" in unknown(
        "the engine could not open any session with its cryptographic provider"
    )
    assert "4000" in unknown("Provider error code: 3999")
    assert KINDS in unknown("zz")
    assert len(OTHERWISE) == 5


def test_secret_in_an_unknown_text_is_not_repeated():
    assert "abcdef" not in unknown("client_secret=abcdef0123456789")


def test_capital_word_of_a_command_has_a_meaning():
    for known in KNOWN_TEXTS:
        for found in (re.findall(r"\[([A-Z_]+)\]", line) for line in (*known.actions, *known.commands)):
            assert set(found) <= set(WORDS)


def test_messages_have_unique_numbers_and_patterns():
    assert len(MESSAGES) == sum(each.number is not None for each in KNOWN_TEXTS)
    assert len({each.pattern for each in KNOWN_TEXTS}) == len(KNOWN_TEXTS)
    for known in KNOWN_TEXTS:
        assert re.compile(known.pattern)
        assert known.pattern == known.pattern.lower() or "\\W" in known.pattern


@pytest.mark.parametrize("piece", ["1", "a", "'", ": 3", "error ", "3303, x ", "status code:", "curl ", "\uff0c", "database "])
def test_hostile_text_is_explained_in_limited_time(piece):
    started = time.perf_counter()
    explain(piece * LONGEST)
    assert time.perf_counter() - started < 5


def test_word_of_sql_is_no_word_for_the_reader_to_replace():
    assert "KEY " not in explanation_text(explain("15581")).partition("In the commands:")[2]


def test_status_of_a_connector_event_is_no_error_of_windows():
    assert title("Operation: getKeyByThumbprint Key Name: Status: Failed Error: 404") == "404"


CLOCKS = ("Now: ", "At the next virtual log file (VLF) or backup: ", "At a restart: ")


@pytest.mark.parametrize(
    ("texts", "words", "never"),
    [
        (("2058", "33027", "33030", "33031", "33081"), CLOCKS, ("or start the service again",)),
        (("secret_expired", "forbidden_rbac", "throttled", "dns_not_found", "AADSTS7000222"), CLOCKS, ()),
        (("2058", "Error when accessing registry: 5", "Windows error 5"), ("in a planned window, a secondary first",), ()),
        (("33047",), ("change no secret", "Test the string", "alter-credential.sql"), ()),
        (("3304",), ("azcmagent show", "localhost:40342"), ()),
        (("3900",), ("has lost its roles", "DNS_ZONE private DNS zone"), ()),
        (("926", "945"), ("N'provider'", "docs recovery-pending", "the DBA"), ()),
        (("3303",), ("In the commands:", "first 32 digits of SECRET"), ()),
        (("37576", "33032", "33085", "2", "7"), ("(Get-Item 'PATH').VersionInfo.FileVersion",), ("SELECT name, version",)),
    ],
)
def test_explanation_has_its_words_in_order(texts, words, never):
    for text in texts:
        shown = " ".join(explanation_text(explain(text)).split())
        places = [shown.index(each) for each in words]
        assert places == sorted(places)
        assert not any(each in shown for each in never)


def test_only_a_labelled_number_is_a_code():
    assert [row.code for row in labelled_codes(read("EKM error code 3303, then 3077 rows"))] == [3303]


LOADING = "Msg 33027, Level 16, State 1. Cannot load library 'C:\\akv.dll'. See errorlog for more information."
SESSION = "2026-11-25 14:00:00.00 spid51 Cannot open session for cryptographic provider 'AKV'. Provider error code: 3303. (Provider Error)"
NO_KEY = "Msg 33111, Level 16, State 4. Cannot find server asymmetric key with thumbprint '0x2C5677D76F76D77F80'."
EVENT = "Vault Name: contoso, Operation: acquireToken, Message: [error:3108, info:401, state:16] refused"

TEXTS = (
    LOADING,
    SESSION,
    NO_KEY,
    EVENT,
    "37576",
    "AADSTS7000229",
    "forbidden_nsp",
    "403 unwrapKey",
    "12029",
    "2058",
    "Error when accessing registry: 5",
    "RECOVERY_PENDING",
    "0x80072EE7",
    "33052",
    "zz",
    "3304x",
)


def squeezed(text):
    """Return the text without blanks and marks of code, which differ between a page and a terminal."""
    return re.sub(r"[\s`]", "", html.unescape(text))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1002016 AKV10046", "AADSTS1002016: outdated_tls"),
        ("AKV10032: Invalid issuer.", "AKV10032: token_wrong_issuer"),  # and the vault's sentence
        ("Caller was not found on any access policy. Provider error code: 3303", "forbidden_policy"),
        ("Provider error code: 3303. Msg 33027", 3303),
        ("Msg 15151 ErrorHttpSendRequest", "Message 15151 of SQL Server: Cannot find the object, or no permission"),
        ("ErrorHttpSendRequest ForbiddenByFirewall", 3008),
        ("KeyNotFound 429 wrap_key", "key_not_found"),
        ("429 wrap_key StatusCode: 503", 3011),
        ("StatusCode: 503 0x80040CE7", "HTTP status 503 of a vault"),
        ("0x80040CE7 curl: (6)", 3303),
        ("0x80072EE7 curl error (60)", "Windows error 12007 (0x80072EE7): the host name did not resolve"),
        ("curl: (6) E3303", "dns_not_found"),
        ("EKM error 3303 throttled", 3303),
        ("The operation has timed out. 12029", "connect_timeout"),
        ("12029 key_expired", "Windows error 12029: the connection failed"),
        ("key_expired RECOVERY_PENDING", "key_expired"),
        ("RECOVERY_PENDING 0x80071234", "Database state RECOVERY_PENDING"),
        ("0x80071234 curl: (92)", "Windows error 4660 (0x80071234): its text is not in this table"),
    ],
)
def test_text_with_two_meanings_has_the_one_nearer_to_the_cause(text, meaning):
    """Each line has two meanings that follow each other in the order of look-ups."""
    found = explain(text)
    assert (found.rows[0].code if isinstance(meaning, int) else found.title) == meaning


@pytest.mark.parametrize("number", [33027, 33028, 33032, 33049, 33067, 33085, 33095, 33111, 37563, 37576])
@pytest.mark.parametrize("form", ["{}", "Msg {}", "Error: {}, Severity: 16, State: 2."])
def test_server_message_has_causes_and_actions(number, form):
    found = explain(form.format(number))
    assert not found.is_code
    assert found.title.startswith(f"Message {number} of SQL Server: ")
    assert found.causes
    assert found.actions


@pytest.mark.parametrize(
    ("text", "reason", "code"),
    [
        ("AADSTS7000222", Reason.SECRET_EXPIRED, 3303),
        ("AADSTS50131: x. AADSTS53003: Access has been blocked.", Reason.CONDITIONAL_ACCESS, 3128),
        ("7000229", Reason.APPLICATION_NOT_IN_TENANT, 3303),
        ("AKV10032: Invalid issuer.", Reason.TOKEN_WRONG_ISSUER, 3305),
        ("AKV10046", Reason.TOKEN_UNVERIFIABLE, 3010),
        ("forbidden_nsp", Reason.FORBIDDEN_NSP, 3077),
        ("ForbiddenByFirewall", Reason.FORBIDDEN_FIREWALL, 3077),
        ("403 unwrapKey: ForbiddenByRbac", Reason.FORBIDDEN_RBAC, 3077),
        ("KeyNotFound", Reason.KEY_NOT_FOUND, 3076),
        ("AADSTS7000213", Reason.CERTIFICATE_REFUSED, 3303),
        ("AADSTS530035", Reason.CONDITIONAL_ACCESS, 3128),
        ("credentials_refused", Reason.CREDENTIALS_REFUSED, 3303),
    ],
)
def test_number_or_reason_explains_the_reason(text, reason, code):
    found = explain(text)
    assert str(reason) in found.title
    assert reason.row.text[1:] in found.summary
    assert [row.code for row in found.rows] == [code]


def test_reason_of_a_page_has_the_codes_of_the_vault_and_of_the_sign_in():
    codes = {row.code for row in explain(Reason.ANSWER_NOT_JSON.value).rows}
    assert {3010, 3012, 3076, 3077, 3128, 3303, 3307, 3404} <= codes


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_with_an_action(reason):
    assert explain(reason.value).actions


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26",
        "proxy:3128 refused",
        "14:3008",
        "today the log shows 3303 again",
        "3303 rows",
        "build 15.0.2000.440",
        "spid3303",
    ],
)
def test_number_inside_another_is_no_code(text):
    assert explain(text) is None


@pytest.mark.parametrize("text", TEXTS)
async def test_page_and_command_explain_the_same(text, capsys):
    status = main(["explain", text])
    printed = capsys.readouterr()
    found = explain(text)
    path = f"/explain/{found.rows[0].code}" if found is not None and found.is_code else f"/explain?{urlencode({'code': text})}"
    async with serving(Service()) as session:
        page = squeezed(words((await get(session, path))[2]))
    if found is None:
        reason = squeezed(printed.err.partition("\n")[0].removeprefix("ekm-exporter explain: "))
        assert (status, reason[1:] in page) == (2, True)
        assert [each for each in OTHERWISE if squeezed(each) not in page or squeezed(each) not in squeezed(printed.err)] == []
        return
    facts = [found.title or found.rows[0].symbol, *(found.actions or found.rows[0].actions), *found.commands]
    assert status == 0
    assert [each for each in facts if squeezed(each) not in squeezed(printed.out)] == []
    assert [each for each in facts if squeezed(each) not in page] == []


WORDS_OF_LOGS = ["Msg", "33111", ",", "Level", "16", "3303", "'", ":", "0x80072EE7", "error", "curl", "(60)", "\n"]


@given(st.text() | st.lists(st.sampled_from(WORDS_OF_LOGS)).map(" ".join))
def test_any_text_is_explained_or_unknown(text):
    found = explain(text)
    assert unknown(text) if found is None else found.rows or found.title


def test_data_of_an_explanation_has_summary_actions_and_codes():
    data = explanation_data(explain("secret_expired"))
    assert data["title"].startswith("secret_expired")
    assert data["summary"]
    assert data["actions"]
    assert 3303 in data["codes"]


@pytest.mark.parametrize(
    "text",
    [
        "old version pinned",
        "rotation pending",
        "key rotated",
        "key_rotated",
        "rotated",
        "the key was rotated",
        "newer version of the key",
        "pinned key version",
    ],
)
def test_newer_version_of_a_key_is_explained(text):
    found = explain(text)
    assert found is not None
    assert found.title == "The vault has a newer version of the key than the pinned one"
    assert found.actions[0].startswith("Do not disable or delete the old version")


@pytest.mark.parametrize("text", ["The version of the provider is older.", "a newer version of the connector"])
def test_other_version_is_no_version_of_a_key(text):
    assert explain(text) is None
