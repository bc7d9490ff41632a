"""A recurring booking: an RFC 5545 RRULE, the first occurrence and an IANA zone become a list of periods.

`rule` parses the text. `days` finds the days and local times that match the rule. `occurrences` makes periods of them.
"""

from services.command.recurrence.occurrences import expand

__all__ = ["expand"]
