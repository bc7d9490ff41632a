"""The bodies of the commands. A field that is not named here is refused, with its name."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from shared.capacity import Capacity, Count

SLUG = r"^[a-z0-9][a-z0-9-]{0,62}$"
Slug = Annotated[str, msgspec.Meta(pattern=SLUG)]
# PostgreSQL's text has no NUL: an event that holds one could not be projected. Nor is any other control character text.
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]+$")]
PoolId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}(\.[a-z0-9][a-z0-9-]{0,62}){0,7}$")]


class ProjectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Slug
    name: Text
    overcommit: Literal["never"] = "never"
    reason: Text | None = None


class CapacityRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`servers` and `cores` are counts, `memory` is MiB, the discs are GiB; left out is 0."""

    servers: Count = 0
    cores: Count = 0
    memory: Count = 0
    tempdisc: Count = 0
    userdisc: Count = 0
    datadisc: Count = 0
    reason: Text | None = None

    def capacity(self) -> Capacity:
        return Capacity(
            servers=self.servers, cores=self.cores, memory=self.memory,
            tempdisc=self.tempdisc, userdisc=self.userdisc, datadisc=self.datadisc,
        )  # fmt: skip


class GrantRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    startdate: str
    enddate: str
    source: Text | None = None
    tz: str = "UTC"


class ClusterRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    parent: PoolId
    startdate: str
    enddate: str
    name: Slug | None = None
    kind: Text = "cluster"
    tz: str = "UTC"


class ResizeRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    startdate: str | None = None
    enddate: str | None = None
    tz: str = "UTC"


class BookingRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    account: Text
    startdate: str
    enddate: str
    project: Slug | None = None
    clusterid: PoolId | None = None
    tz: str = "UTC"


class ReasonRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Text | None = None
