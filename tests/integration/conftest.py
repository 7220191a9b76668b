"""What the simulators of one process share."""

import pytest

from exporter.simulator.environment import PAIRS_PER_SIZE, KeyPairs


@pytest.fixture(autouse=True, scope="session")
def shared_key_pairs():
    """Making the pair of a number takes 50 to 200 ms; no test needs that pair to differ from that of another simulator."""
    made, make = {}, KeyPairs.get

    async def get(self, size, material):
        slot = (size, material % PAIRS_PER_SIZE)
        if slot not in made:
            made.setdefault(slot, await make(self, *slot))
        return made[slot]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeyPairs, "get", get)
        yield
