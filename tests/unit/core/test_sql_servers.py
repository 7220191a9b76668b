"""A SQL Server is an instance and its host."""

from exporter.core.names import server_name, server_names


def test_instances_of_one_name_on_two_hosts_are_two():
    declared = [{"sql_instance": "PROD", "host": "n1"}, {"sql_instance": "PROD", "host": "n2", "ag": "AG1"}]
    assert list(server_names([*declared, {"sql_instance": "prod", "host": "N1"}]).values()) == ["PROD on n1", "PROD on n2"]


def test_instance_without_a_host_is_its_name():
    assert (server_name({"sql_instance": "PROD"}), server_names([{"host": "n1"}])) == ("PROD", {})
