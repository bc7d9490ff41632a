"""The writes of the HTTP interface: a body becomes a command, and what became of the command becomes a response."""

from services.command.routes.accounts import Accounts
from services.command.routes.blazar import Blazar
from services.command.routes.bookings import Bookings
from services.command.routes.clusters import Clusters
from services.command.routes.credentials import FeedAddresses, Tokens
from services.command.routes.grants import Grants
from services.command.routes.openstack import OpenStack
from services.command.routes.projects import Projects
from services.command.routes.roles import Roles
from services.command.routes.sign_in import SignIn, SignOut
from services.command.routes.templates import Templates
from services.command.routes.webhooks import Webhooks

CONTROLLERS = (
    Projects,
    Grants,
    Clusters,
    Templates,
    Accounts,
    Roles,
    Bookings,
    OpenStack,
    Blazar,
    Webhooks,
    Tokens,
    FeedAddresses,
    SignIn,
    SignOut,
)

__all__ = ["CONTROLLERS"]
