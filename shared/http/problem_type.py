"""The type of a problem document (RFC 9457), with every member that an error of Hourbook adds to it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Dimension = Literal["servers", "cores", "memory", "tempdisc", "userdisc", "datadisc"]


class BadField(Struct, frozen=True):
    """A field, and what is wrong with it."""

    field: Annotated[str, Meta(description="The name of the field, parameter or header.")]
    detail: Annotated[str, Meta(description="What is wrong with it, and what would be right.")]


class Shortage(Struct, frozen=True):
    """A run of hours in which the same is asked and the same is available of one dimension."""

    start: Instant
    end: Instant
    dimension: Dimension | Literal["share"]
    asked: int
    available: int


class RefusedOccurrence(Struct, frozen=True):
    """The occurrence of a series that was refused. `number` counts from 1."""

    start: Instant
    end: Instant
    number: int


class Problem(Struct, frozen=True):
    """RFC 9457. `code` is stable; `errors` names each bad field. The members after `errors` are facts of some codes."""

    type: Annotated[str, Meta(description="A URI for this kind of problem, as RFC 9457 wants it.")]
    title: Annotated[str, Meta(description="What kind of problem it is. The same text for each `code`.")]
    status: Annotated[int, Meta(description="The status of the response.")]
    detail: Annotated[str, Meta(description="What is wrong in this case, and what would be right. For people.")]
    code: Annotated[str, Meta(description="Which problem it is. For programs: it never changes its meaning.")]
    instance: Annotated[
        str | UnsetType,
        Meta(description="The call in which it happened (`urn:hourbook:call:` and the X-Request-Id); from 500 on."),
    ] = UNSET
    errors: Annotated[
        list[BadField] | UnsetType, Meta(description="Each bad field. Absent when no single field is wrong.")
    ] = UNSET
    shortages: Annotated[
        list[Shortage] | UnsetType,
        Meta(description="`capacity_exceeded`, `lease_refused`: the first hours that lack it."),
    ] = UNSET
    shortages_total: Annotated[
        int | UnsetType, Meta(description="`capacity_exceeded`, `lease_refused`: how many shortages there are.")
    ] = UNSET
    occurrence: Annotated[RefusedOccurrence | UnsetType, Meta(description="The first refused occurrence.")] = UNSET
    occurrences: Annotated[
        list[RefusedOccurrence] | UnsetType, Meta(description="The first refused occurrences of a series, in order.")
    ] = UNSET
    occurrences_total: Annotated[
        int | UnsetType, Meta(description="How many occurrences of the series are refused.")
    ] = UNSET
    pool: Annotated[
        str | UnsetType | None, Meta(description="The pool that lacks it, or in which a role is needed; null: in all.")
    ] = UNSET
    message: Annotated[str | UnsetType, Meta(description="`lease_refused`: what Blazar shows to its user.")] = UNSET
    because: Annotated[str | UnsetType, Meta(description="`lease_refused`: the code of the reason.")] = UNSET
    needs: Annotated[str | UnsetType, Meta(description="`forbidden`: the role that is needed.")] = UNSET
    account: Annotated[str | UnsetType, Meta(description="The account that the refusal is about.")] = UNSET
    id: Annotated[str | UnsetType, Meta(description="`already_exists`: the id that exists.")] = UNSET
    until: Annotated[str | UnsetType, Meta(description="`already_exists`: until when the id is taken.")] = UNSET
    limit: Annotated[str | UnsetType, Meta(description="The limit that would be exceeded.")] = UNSET
    setting: Annotated[str | UnsetType, Meta(description="The setting of the service that holds the limit.")] = UNSET
    asked: Annotated[int | UnsetType, Meta(description="How much the request would come to.")] = UNSET
    allowed: Annotated[int | UnsetType, Meta(description="How much the limit allows.")] = UNSET
    dimension: Annotated[Dimension | UnsetType, Meta(description="The dimension of the account's limit.")] = UNSET
    at: Annotated[str | UnsetType, Meta(description="The hour or month in which the limit is exceeded.")] = UNSET
    position: Annotated[int | UnsetType, Meta(description="`not_yet_visible`: the position that is visible.")] = UNSET
    min_position: Annotated[int | UnsetType, Meta(description="`not_yet_visible`: the position asked for.")] = UNSET
    size: Annotated[int | UnsetType, Meta(description="`not_sealed`: how many events are sealed.")] = UNSET
