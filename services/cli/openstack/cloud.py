"""Reads a cloud through openstacksdk. Answers the same documents that `hourbook import` reads from files."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from services.cli.failure import Failure
from services.cli.openstack.service import FIRST_WAIT_S, NoAnswer, NotThere, Service

if TYPE_CHECKING:
    from openstack.connection import Connection

UUID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Cloud:
    """One project of a cloud. Its methods block, and raise NoAnswer."""

    def __init__(self, connection: Connection, first_wait_s: float = FIRST_WAIT_S) -> None:
        self._connection, self._first_wait_s = connection, first_wait_s

    def project(self) -> str:
        """The id of the OpenStack project. Raises Failure when the sign-in fails."""
        from keystoneauth1.exceptions import ClientException

        try:
            project = self._connection.current_project_id
        except ClientException as error:
            raise Failure(f"cannot use the cloud: {error}") from None
        if not project:
            raise Failure("the sign-in is for no project: set one in clouds.yaml or in OS_PROJECT_ID")
        return str(project)

    def token(self, *, new: bool = False) -> str:
        """The token of the sign-in at the cloud's Keystone; a `new` one where the old one is not taken any more. Raises
        Failure when the sign-in fails."""
        from keystoneauth1.exceptions import ClientException

        try:
            if new:
                self._connection.session.invalidate()
            token = self._connection.session.get_token()
        except ClientException as error:
            raise Failure(f"cannot use the cloud: {error}") from None
        if not token:
            raise Failure("the cloud needs no sign-in, so it has no token for --auth keystone")
        return str(token)

    def documents(self, service: str) -> list[dict[str, Any]]:
        """All documents of a service that `hourbook import` can read. Raises NoAnswer."""
        client = self._service(service)
        match service:
            case "nova":
                return [client.get(f"/os-quota-sets/{self.project()}"), *self._flavors()]
            case "blazar":
                return [*client.pages("/leases", "leases", "leases_links"), *self._flavors()]
            case _:
                templates = client.pages("/clustertemplates", "clustertemplates", "next")
                return [*clusters_of(client), *templates, *self._flavors()]

    def _service(self, name: str) -> Service:
        return Service(self._connection, name, self._first_wait_s)

    def _flavors(self) -> list[dict[str, Any]]:
        return self._service("nova").pages("/flavors/detail", "flavors", "flavors_links")


def clusters_of(magnum: Service) -> list[dict[str, Any]]:
    """The clusters, and the node groups of those that have some. The list of clusters has neither their creation times
    nor their flavors, and a list of node groups has no bounds: so each is asked for alone."""
    clusters, groups = [], []
    for uuid in ids_in(magnum.pages("/clusters", "clusters", "next"), "clusters"):
        try:
            clusters.append(magnum.get(f"/clusters/{uuid}"))
            groups += groups_of(magnum, uuid)
        except NotThere:
            continue  # it was deleted meanwhile
    return [{"clusters": clusters}, *([{"nodegroups": groups}] if groups else [])]


def groups_of(magnum: Service, cluster: str) -> list[dict[str, Any]]:
    """The node groups of a cluster; none where Magnum is older than they are."""
    if magnum.microversion is None:
        return []
    path = f"/clusters/{cluster}/nodegroups"
    ids = ids_in(magnum.pages(path, "nodegroups", "next"), "nodegroups")
    return [{**magnum.get(f"{path}/{group}"), "cluster_id": cluster} for group in ids]


def ids_in(pages: list[dict[str, Any]], name: str) -> list[str]:
    """The UUIDs of the things in the pages of a list. Raises NoAnswer for a thing without one."""
    things = [thing for page in pages for thing in page[name]]
    ids = [thing.get("uuid") if isinstance(thing, dict) else None for thing in things]
    if not all(isinstance(one, str) and UUID.fullmatch(one) for one in ids):
        raise NoAnswer(f"the list of {name} has something without a uuid")
    return [str(one) for one in dict.fromkeys(ids)]


def connect(name: str | None) -> Cloud:
    """The cloud `name` of clouds.yaml; None: the one that OS_CLOUD or other OS_ variables name. Raises Failure."""
    try:
        import openstack
    except ImportError:
        raise Failure("this needs openstacksdk: pip install 'hourbook[openstack]'") from None
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import ConfigException

    try:
        with warnings.catch_warnings():
            # It warns about its own metrics, which are not used here.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            return Cloud(openstack.connect(cloud=name, app_name="hourbook"))
    except (ConfigException, ClientException) as error:
        raise Failure(f"cannot use the cloud: {error}; name one of clouds.yaml with --cloud or OS_CLOUD") from None
