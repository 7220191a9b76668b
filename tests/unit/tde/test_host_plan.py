"""Which SQL Servers each host runs, and the targets of its exporter."""

import pytest

from exporter.tde.document import Document
from exporter.tde.findings import Findings
from exporter.tde.host_plan import instances_by_host, targets_of_host
from exporter.tde.identity import instances_of
from exporter.tde.plan import HandWritten, make_plan
from tests.support.gate_factories import URIS, instance
from tests.support.sql_inventory import altering, replacing, rows_of


def hosts_of(*instances):
    findings = Findings()
    found = instances_by_host(instances, findings)
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
