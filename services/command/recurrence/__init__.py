"""A recurring booking: an RFC 5545 RRULE, the first occurrence and an IANA zone become a list of periods.

`rule` reads the text, `days` finds what the rule names in the calendar, `occurrences` makes periods of that.
"""

from services.command.recurrence.occurrences import expand

__all__ = ["expand"]
