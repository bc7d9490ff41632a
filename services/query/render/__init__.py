"""Figures as text: roll-ups, JSON, CSV and iCalendar."""
