"""The writes of the HTTP interface: a body becomes a command, the handler's answer becomes a response."""

from services.command.routes.accounts import Accounts
from services.command.routes.bookings import Bookings
from services.command.routes.openstack import OpenStack
from services.command.routes.pools import Pools

CONTROLLERS = (Pools, Bookings, Accounts, OpenStack)

__all__ = ["CONTROLLERS"]
