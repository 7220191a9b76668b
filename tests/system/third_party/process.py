"""The client on the isolated machine: a line of input is a JSON object, a line of output is its result.

An object with `path` goes to the simulator's management port; any other one is a round trip of MongoDB's client.
"""

import json
import sys
import urllib.request

from tests.support.patience import PATIENCE
from tests.system.third_party.mongodb import round_trip


def manage(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(path, data, method=method), timeout=PATIENCE) as response:  # noqa: S310 - loopback
        return json.load(response)


for line in sys.stdin:
    request = json.loads(line)
    sys.stdout.write(json.dumps(manage(**request) if "path" in request else round_trip(request)) + "\n")
    sys.stdout.flush()
