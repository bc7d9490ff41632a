"""The projector: folds events into the read models. Nothing else writes them.

projections/   the fold: what events change, computed in memory
rows/          the tables: what the fold needs of them is read, what it changes is written
generation.py  one complete set of the tables, with its checkpoint; a batch is written in one transaction
as_of/         the versions of rows, for reads at an earlier position
"""
