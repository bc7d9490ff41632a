"""The fold, one read model in each file: events in, changes of rows out. No I/O, no clock."""

from services.projector.projections.fold import Changes, Known, Needed, fold, fold_batch, needed_for

__all__ = ["Changes", "Known", "Needed", "fold", "fold_batch", "needed_for"]
