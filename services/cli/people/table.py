"""The table of the commands for people, with their help texts."""

from __future__ import annotations

BOOKINGS = {
    "people.commands:free": """Show what is free: 14 days by day, in cores.

A row is a pool, a column a day. The figure is the least of the day: what can be held all day. For a pool without
clusters, a line is a day.

`hourbook free gaia --grain hour` shows 24 hours, `--for small` how many of a template fit.""",
    "people.commands:slots": """Find the earliest time at which a request fits.

`hourbook slots --cores 32 --for "3 days"` looks in all projects and their clusters, for a year from now on. The exit
status is 3 if it fits nowhere.""",
    "people.changing:book": """Book capacity of a project or a cluster.

First it shows what would be booked and what is free in those hours, then it asks. If the ledger refuses, it shows which
hours are short and the nearest time that fits, and the exit status is 3. Without a terminal it needs --yes.

`hourbook book gaia --cores 32 --for "3 days"` books the earliest three days that fit.""",
    "people.commands:list_": """List your bookings, or with --all everybody's.

`hourbook list gaia --all --tree` shows all of a project and its clusters. A booking is running, planned, tentative (the
ledger may take it back) or ended.""",
    "people.commands:show": """Show one booking, series, grant, cluster or project, and its history.""",
    "people.changing:amend": """Change a booking: its size, its start or its end.

First it shows what would change, then it asks. With --all it changes the size of every occurrence of a series that has
not begun, with --from those from then on.""",
    "people.changing:cancel": """Cancel a booking, or a series.

First it shows what would end, then it asks. A booking that has begun ends at the next whole hour. With --all it cancels
every occurrence of the series, with --from those that begin then or later.""",
    "people.commands:watch": """Show changes as they happen, until Ctrl-C: one line an event.""",
    "people.commands:grants": """List what the projects have been given.""",
    "people.commands:clusters": """List the clusters, with what is free in them now.""",
}
PROFILE = {
    "people.profiles:add": """Add a profile: an address, and how to sign in there.

With --sign-in it asks for a token and keeps it in the profile; `hourbook token create` and the page make tokens. The
first profile is used from then on, without an option.""",
    "people.profiles:use": """Use this profile from now on.""",
    "people.profiles:list_": """List the profiles. Tokens are not shown.""",
    "people.profiles:remove": """Remove a profile, and the token in it.""",
}
PROFILE_HELP = """Profiles: which ledger to ask, and how to sign in there.

They are in ~/.config/hourbook/config.toml, which only you may read. HOURBOOK_PROFILE or --profile chooses one.
HOURBOOK_URL, HOURBOOK_TOKEN and HOURBOOK_TOKEN_FILE win over it."""
COMPLETION = {
    "main:completion": """Complete commands, options and choices in your shell.

It prints the script for bash, zsh or fish; with --install it puts it where the shell finds it."""
}
