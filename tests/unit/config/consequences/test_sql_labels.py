"""What a configuration declares of SQL Servers: the targets that are compared, and the names of instances."""

from exporter.config.settings import Module
from exporter.config.usage import compared_targets, instance_names
from exporter.core.values import Mode
from tests.support.factories import a_config, a_target, with_sql_servers
from tests.support.sql_monitors import a_server


def test_canary_is_not_compared_with_sql_servers():
    config = a_config(a_target(), a_target("canary", module="canary"), modules=[Module(name="canary", mode=Mode.CANARY)])
    assert [target.name for target in compared_targets(config)] == ["payroll"]


def test_instance_is_known_by_label_or_address():
    servers = [a_server("n1\\PROD"), a_server("n2", sql_instance="WEB"), a_server("n3,1450")]
    assert list(instance_names(with_sql_servers(a_config(a_target()), *servers))) == ["PROD", "WEB", None]
