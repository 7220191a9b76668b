"""Names and messages of a hostile SQL Server: the YAML loads to what was meant, and the report has one line each."""

import pytest
import yaml

from exporter.inventory.plan import HandWritten, make_plan
from exporter.inventory.render import files_of, report
from exporter.sqlserver.document import Document, RegistryUri
from exporter.sqlserver.instance import instance_of
from tests.support.sql_inventory import rows_of
from tests.support.values import replace

URI = RegistryUri("2C56", "https://contoso-prod.vault.azure.net/keys/K/1111aaaa2222")
SECRET = "0123456789abcdef0123456789abcdef" + "Abc8Q8abcdefghijklmnopqrstuvwxyz01234567"
NAMES = (
    "a'b\"c]d[e", "a: b # c", "- {x}, *y, &z", "null", "1e3", "%s", " trail ", "a\nb: c", "\x1b[31m", "\u202ereversed", "\u2028", "\ufffe\uffff", "\ufeffbom", "x\ncredentials: {}", "I'm, {x}: #"
)  # fmt: skip


def planned(rows, **changes):
    return make_plan([instance_of(Document(sections=rows, **changes))], [URI], HandWritten(), {})


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_hostile_names_are_data_in_yaml_and_one_line_in_the_report(name):
    rows = rows_of(databases={name: "0x2C56"}, ag=name)
    rows["instance"][0] |= {"instance_name": name, "machine": name, "server_name": name}
    rows["credentials"][0]["name"] = rows["keys"][0]["credential"] = rows["keys"][0]["name"] = name
    plan = planned(rows)
    (target,) = plan.targets
    loaded = yaml.safe_load(files_of(plan, (), "../secrets")["contoso-prod"])
    assert list(loaded) == ["credentials", "targets"]
    assert loaded["targets"][0]["instances"] == list(target.instances)
    assert list(loaded["credentials"]) == [target.credential.name]
    lines = report(plan, (), "../secrets").splitlines()
    assert len(lines) == 6  # the secret, a blank line, the replica and the columns that were not read, each with its title
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


def test_message_and_thumbprint_of_a_file_stay_one_line():
    broken = RegistryUri("0x2C\n  - forged", "no uri")
    plan = planned(rows_of(), errors={"encryption": "boom\x1b[31m\n  - forged: line"}, key_uris=(broken,))
    lines = report(plan, (), "../secrets").splitlines()
    assert not any(line.startswith("  - forged") or "\x1b" in line for line in lines)


def test_secret_in_place_of_the_vault_is_not_reported():
    rows = rows_of()
    rows["credentials"][0]["identity"] = SECRET
    plan = planned(rows)
    assert SECRET[:32] not in report(plan, (), "../secrets") + files_of(plan, (), "../secrets")["contoso-prod"]
    rows["credentials"][0]["identity"] = ""
    assert any("names nothing" in gap for gap in planned(rows).findings.gaps)


def test_case_of_a_credential_name_does_not_matter():
    rows = rows_of("N2")
    rows["credentials"][0]["name"] = rows["keys"][0]["credential"] = "TDE_Cred"
    instances = [instance_of(Document(sections=one)) for one in (rows_of("N1"), rows)]
    plan = make_plan(instances, [URI], HandWritten(), {})
    assert [target.credential.name for target in plan.targets] == ["contoso-prod-tde_cred"]


def test_column_encryption_is_not_known_and_never_none():
    plan = planned(rows_of())
    assert "Column encryption with an EKM key is not known" in report(plan, (), "../secrets")
    assert "Column encryption" not in report(replace(plan, targets=()), (), "../secrets")
