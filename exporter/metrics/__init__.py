"""What Prometheus reads: the table of metrics, their rendered bytes, and the one object that others tell what happened."""
