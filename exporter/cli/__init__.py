"""The commands, one module each; here the parts of the exporter are put together.

For: arguments, exit codes and output.
Not for: anything that another program could import.
"""
