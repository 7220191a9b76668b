"""The round trip, the prober, the schedule and auxiliary probes.

For: what is probed, when and how. Not for: storing, rendering or serving results.
"""
