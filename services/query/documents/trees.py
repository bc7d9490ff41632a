"""The reads of a pool and all pools inside it."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from services.query.documents.calendar import OfAPool
from services.query.documents.parts import DimensionName, Instant, PoolId


class MatrixColumns(Struct):
    """The blocks of time, in order: lists of the same length."""

    start: list[Instant]
    end: list[Instant]
    hours: Annotated[list[int], Meta(description="The number of hours of each block.")]


class MatrixRow(Struct):
    """A pool, with a number for each block: the smallest and the largest in an hour of the block."""

    pool: PoolId
    name: str
    kind: Annotated[str, Meta(description="`project`, or what kind of cluster it is.", examples=["project", "magnum"])]
    min: list[int]
    max: list[int]


class MatrixTemplate(Struct):
    """The template whose number the matrix shows."""

    name: str
    version: int


class Matrix(OfAPool, kw_only=True):
    """What is available in a pool and in each pool inside it. It has `dimension`, or `template` if one was given."""

    dimension: DimensionName | UnsetType = UNSET
    template: MatrixTemplate | UnsetType = UNSET
    columns: MatrixColumns
    rows: list[MatrixRow]
