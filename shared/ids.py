"""New ids."""

from __future__ import annotations

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A UUIDv7: ids that are made later sort later."""
    return UUID(int=uuid_utils.uuid7().int)
