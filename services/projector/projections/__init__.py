"""The read models as pure folds, one a file: events in, changes of rows out. No I/O, no clock."""

from services.projector.projections.batch import Changes, decode_events, fold, resized_ranges

__all__ = ["Changes", "decode_events", "fold", "resized_ranges"]
