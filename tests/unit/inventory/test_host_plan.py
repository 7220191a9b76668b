"""Which SQL Servers each host runs, and the targets of its exporter."""

import pytest

from exporter.inventory.plan import HandWritten, WrittenHosts, instances_by_host, make_plan, targets_of_host
from exporter.sqlserver.document import Document
from exporter.sqlserver.instance import Findings, instances_of
from tests.support.gate_factories import URIS, instance
from tests.support.sql_inventory import altering, replacing, rows_of

NODES = WrittenHosts(of_any=("n1", "n2"))


def hosts_of(*instances, written=NODES):
    findings = Findings()
    found = instances_by_host(instances, findings, written)
    return {host: [one.server_name for one in those] for host, those in found.items()}, findings


def clustered(rows):
    altering("instance", node="N1")(rows)
    rows["nodes"] = [{"name": "N1"}, {"name": "N2"}]


def test_each_host_has_its_instances_and_a_cluster_each_node():
    found, findings = hosts_of(instance("N1\\A"), instance("N1\\B"), instance("SQLFCI\\PROD", change=clustered))
    assert found == {"n1": ["N1\\A", "N1\\B", "SQLFCI\\PROD"], "n2": ["SQLFCI\\PROD"]}
    assert (findings.gaps, findings.notes) == ({}, {})


def test_cluster_with_unknown_nodes_is_a_gap():
    moved = altering("instance", node="N1")
    found, findings = hosts_of(instance("SQLFCI", change=moved, failing={"nodes": "denied"}), instance("OTHER", change=moved))
    assert found == {}
    assert [(servers, text.rpartition("STATE): ")[2]) for text, servers in findings.gaps.items()] == [
        (["SQLFCI"], "message 300: denied"),
        (["OTHER"], "the section nodes is empty"),
    ]


@pytest.mark.parametrize(
    ("address", "node", "host"),
    [
        ("n2.contoso.com", "N2", "n2"),
        ("N2.CONTOSO.COM.", "N2", "n2"),
        ("tcp:n2,1433", "N2", "n2"),
        ("n2\\A", "N2", "n2"),
        ("file n2_A.txt", "N2", "n2"),
        ("n2", "N2.evil.example", "n2"),  # never in a domain that only the server names
        ("n2.contoso.com", "N2.evil.example", "n2.contoso.com"),
        ("n2.contoso.com", "N20", None),
        ("n2.contoso.com", "contoso", None),
        ("n2.contoso.com", "10.9.9.9", None),
        ("10.9.9.9", "10.9.9.9", None),
        ("10.9.9.9", "10", None),
        ("10.0.0.5", "N2", None),
        ("listener.contoso.com", "N2", None),
        ("file other.txt", "N2", None),
        (None, "N2", None),
    ],
)
def test_host_counts_if_it_is_the_one_that_was_asked(address, node, host):
    document = Document(address=address, sections=rows_of("N2") | {"nodes": [{"name": node}]})
    found, findings = hosts_of(*instances_of([document]), written=None)
    assert (list(found), len(findings.gaps)) == (([host], 0) if host else ([], 1))
    assert all(f"read as {address or ''}, it names the host {node.lower()}" in text for text in findings.gaps)


@pytest.mark.parametrize(
    ("node", "written", "host"),
    [
        ("N2", WrittenHosts({"10.0.0.5": "n2"}), "n2"),
        ("N2", WrittenHosts({"10.0.0.6": "n2"}), None),
        ("10.9.9.9", WrittenHosts({"10.0.0.5": "10.9.9.9"}), "10.9.9.9"),
        ("N2", WrittenHosts(of_any=["n2.contoso.com"]), "n2"),
        ("N2.evil.example", WrittenHosts(of_any=["n1", "n2.contoso.com"]), "n2.contoso.com"),
    ],
)
def test_host_counts_if_the_operator_wrote_it(node, written, host):
    document = Document(address="10.0.0.5", sections=rows_of("N2") | {"nodes": [{"name": node}]})
    assert list(hosts_of(*instances_of([document]), written=written)[0]) == ([host] if host else [])


@pytest.mark.parametrize("name", ["../N1", "a/b", ".", "n1.", "N1 x", "ü", "CON", "nul.contoso.com"])
def test_name_that_leads_out_of_the_folder_is_a_gap(name):
    found, findings = hosts_of(instance("N1", change=replacing(nodes=[{"name": name}])))
    assert found == {}
    assert [servers for text, servers in findings.gaps.items() if "not fit for a folder" in text] == [["N1"]]


def test_linux_is_a_note_and_a_server_without_provider_nothing():
    found, findings = hosts_of(
        instance("L1", change=altering("instance", platform="linux")),
        instance("N1", databases={}, change=replacing(providers=[], keys=[])),
    )
    assert (found, findings.gaps, list(findings.notes.values())) == ({}, {}, [["L1"]])


def test_host_has_the_domain_if_two_servers_share_a_name():
    documents = [Document(address=f"n1.{domain}", sections=rows_of("N1")) for domain in ("a.example", "b.example")]
    assert set(instances_by_host(instances_of(documents), Findings())) == {"n1.a.example", "n1.b.example"}


def test_targets_of_a_host_name_its_own_servers_only():
    servers = [instance("N1\\A", databases={"x": "0x2C56"}), instance("N2\\A", databases={"x": "0x2C56", "y": "0x2C57"})]
    targets = make_plan(servers, URIS, HandWritten(), {}).targets
    (one,) = targets_of_host(targets, servers[:1])
    assert (one.instances, one.credential.servers, dict(one.databases)) == (
        ({"sql_instance": "A", "host": "n1"},),
        ("N1\\A",),
        {"N1\\A": ("x",)},
    )
    assert [len(target.instances) for target in targets_of_host(targets, servers[1:])] == [1, 1]
