"""The command line: one module a command, with its arguments, its exit codes and what it prints.

Holds nothing that another package imports. `main` first: the parser, and the table of commands, which imports a command when it runs;
`flags` has what several commands share.
"""
