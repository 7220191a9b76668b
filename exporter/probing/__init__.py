"""The round trip, the prober, the schedule and auxiliary probes. Must not store, render or serve anything."""
