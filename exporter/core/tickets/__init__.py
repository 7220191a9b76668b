"""What a ticket for another team is made of: the team, its steps, and how it sees that they worked.

For: the Az PowerShell equivalent and the portal's path of each `az` command, and the tests that a team can make.
Not for: the actions themselves (see `reasons` and `codes`), or a ticket as text (see `presentation.ticket`).
"""
