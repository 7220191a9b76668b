"""The address of this host on the route to another one."""

import socket

import pytest

from exporter.clients.http import facts
from exporter.clients.http.facts import local_address


@pytest.mark.parametrize("destination", ["127.0.0.1", "::1"])
def test_loopback_is_reached_from_itself(destination):
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    try:
        with socket.socket(family) as bound:
            bound.bind((destination, 0))
        expected = destination
    except OSError:  # a host without IPv6
        expected = None
    assert local_address(destination) == expected


def test_destination_without_a_route_has_no_address(monkeypatch):
    def refuse(*_given):
        raise OSError("no route")

    monkeypatch.setattr(facts.socket.socket, "connect", refuse, raising=False)
    assert local_address("203.0.113.7") is None


def test_unspecified_address_is_none(monkeypatch):
    monkeypatch.setattr(facts.socket.socket, "connect", lambda *_given: None, raising=False)
    assert local_address("203.0.113.7") is None
