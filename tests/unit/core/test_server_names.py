"""The rule which SQL Server an entry of `instances` names: one table of cases, with the other SQL Servers that are known."""

import pytest

from exporter.core.names import Match, entry_key, is_same_server, match_entry, server_names_at, told_apart

NO, POSSIBLE, CERTAIN = Match
N1 = ("n1.a.com\\PROD", "PROD", "n1")  # address, labels `sql_instance` and `host` of the SQL Server that is asked about
DEFAULT = ("n1.a.com", "N1", "n1")
UNREAD = ("n1.a.com", "", "")
NAMESAKE = ("n1.b.com\\PROD", "PROD", "n1.b.com")
OTHERS = {"none": (), "n2": (("n2\\PROD", "PROD", "n2"),), "n2 default": (("n2", "N2", "n2"),), "unnamed": (("n9,1450", "", ""),)}
OTHERS |= {"domain": (NAMESAKE,), "contested": (("10.0.0.5", "PROD", "n1.b.com", True),)}


@pytest.mark.parametrize(
    ("entry", "server", "others", "expected"),
    [
        ("PROD n1", N1, "none", CERTAIN),
        ("prod N1", N1, "n2", CERTAIN),
        ("PROD n1", N1, "unnamed", CERTAIN),  # a computer has one instance of a name
        ("PROD n1.a.com", N1, "none", CERTAIN),
        ("PROD n1.ad.example", N1, "none", CERTAIN),  # the label has no domain, and an address may be an alias of it
        ("PROD n2", N1, "n2", NO),
        ("TEST n1", N1, "none", NO),
        ("PROD n10", N1, "none", NO),
        ("PROD n1.b.com", (*N1[:2], "n1.a.com"), "none", NO),
        # without a host: the only one of that instance
        ("PROD", N1, "none", CERTAIN),
        ("PROD", N1, "n2", POSSIBLE),
        ("PROD", N1, "n2 default", CERTAIN),
        ("PROD", N1, "unnamed", POSSIBLE),
        ("PROD", N1, "domain", POSSIBLE),
        ("PROD", N1, "contested", CERTAIN),
        # without a domain: the only one of that host
        ("PROD n1", N1, "domain", POSSIBLE),
        ("PROD n1.a.com", N1, "domain", CERTAIN),
        ("PROD n1.b.com", NAMESAKE, "none", CERTAIN),
        ("PROD n1", N1, "contested", CERTAIN),
        # the default instance has the names of its host and of its service
        ("N1 n1", DEFAULT, "none", CERTAIN),
        ("MSSQLSERVER n1", DEFAULT, "none", CERTAIN),
        ("MSSQLSERVER n2", DEFAULT, "none", NO),
        ("MSSQLSERVER n1", N1, "none", NO),
        ("n1 n1", (*DEFAULT[:1], "MSSQLSERVER", "n1"), "none", CERTAIN),
        ("n1", DEFAULT, "n2 default", CERTAIN),
        ("MSSQLSERVER", DEFAULT, "n2", CERTAIN),
        ("MSSQLSERVER", DEFAULT, "n2 default", POSSIBLE),
        # what is not known is not certain
        ("PROD n1", UNREAD, "none", POSSIBLE),
        ("PROD n2", UNREAD, "none", NO),
        ("PROD n1", ("n1.a.com\\PROD", "", ""), "none", CERTAIN),
        ("PROD n1", ("10.1.2.3\\PROD", "", ""), "none", POSSIBLE),
        ("PROD n1", ("localhost", "", ""), "none", POSSIBLE),
        ("PROD n1", (*N1, True), "none", POSSIBLE),
        ("PROD", (*N1, True), "none", POSSIBLE),
        (" n1", N1, "none", POSSIBLE),
        (" n2", N1, "none", NO),
        ("PROD n1", ("file n1.txt of a DBA", "PROD", "n1"), "none", CERTAIN),
    ],
)
def test_entry_names_a_server(entry, server, others, expected):
    label, _, host = entry.partition(" ")
    declared = {name: value for name, value in (("sql_instance", label), ("host", host)) if value}
    every = [server_names_at(*each[:3], contested=bool(each[3:])) for each in (server, *OTHERS[others])]
    own = told_apart(dict(enumerate(every)))[0]
    assert match_entry(declared, own) is expected
    if label and own.labels and expected:
        assert entry_key(declared) in own.entry_keys or not own.host  # no index leaves it out


@pytest.mark.parametrize(("group", "expected"), [("ag7", POSSIBLE), ("AG8", NO)])
def test_availability_group_alone_is_never_certain(group, expected):
    server = server_names_at(*N1)._replace(groups=frozenset({"ag7"}))
    assert match_entry({"ag": group}, server) is expected


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        ("N1\\PROD", " n1.a.com\\prod", True),
        ("n1", "N1.a.com", True),
        ("n1.a.com\\PROD", "n1.b.com\\PROD", False),
        ("N1\\PROD", "N1", False),
        ("N1\\PROD", "N2\\PROD", False),
    ],
)
def test_names_of_two_servers_may_mean_one(name, other, expected):
    assert is_same_server(name, other) is is_same_server(other, name) is expected
