"""Whether SQL Servers would find their keys if they restarted: pure rules.

For: `sources` joins the inventory's file and the readings of exporters, `response` reads an exporter's targets, `exporters` decides which one
answers; `dependencies` finds the keys of an instance, `replicas` those of its groups; `targets`, `proofs` and `forecast` find what is against a
restart, `assess` puts it together, `conditions` has the text and the first action of each reason, `render` writes the answer.
Not for: files, connections, or probes of its own.
"""
