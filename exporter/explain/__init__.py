"""What a pasted text or an event means: codes, messages of SQL Server, errors of Windows, sentences of programs.

For: `search` explains a text, `render` prints codes and explanations. The command `explain`, the page `/explain` and `events` use them.
Not for: choosing the code of a failure, which `core.classify` does.
"""
