"""Reads a cloud through openstacksdk. Answers the same documents that `hourbook import` reads from files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from services.cli.failure import Failure
from shared.errors import words_of

if TYPE_CHECKING:
    from keystoneauth1.adapter import Adapter
    from openstack.connection import Connection

# The service type of each in the catalogue of a cloud.
SERVICE_TYPES = {"nova": "compute", "blazar": "reservation", "magnum": "container-infrastructure-management"}
PAGES_MAX = 1000


class NoAnswer(Exception):
    """A service did not answer with a valid document. The message says why."""


class Cloud:
    """One project of a cloud. Its methods block, and raise NoAnswer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

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

    def token(self) -> str:
        """The token of the sign-in at the cloud's Keystone. Raises Failure when the sign-in fails."""
        from keystoneauth1.exceptions import ClientException

        try:
            token = self._connection.session.get_token()
        except ClientException as error:
            raise Failure(f"cannot use the cloud: {error}") from None
        if not token:
            raise Failure("the cloud needs no sign-in, so it has no token for --auth keystone")
        return str(token)

    def documents(self, service: str) -> list[dict[str, Any]]:
        """All documents of a service that `hourbook import` can read. Raises NoAnswer."""
        client = self._client(service)
        match service:
            case "nova":
                return [self._get(client, f"/os-quota-sets/{self.project()}"), *self._flavors()]
            case "blazar":
                return [self._get(client, "/leases"), *self._flavors()]
            case _:
                # The list of clusters has neither their creation times nor their flavors.
                clusters = [
                    self._get(client, f"/clusters/{listed['uuid']}")
                    for page in self._pages(client, "/clusters", "clusters", "next")
                    for listed in page["clusters"]
                ]
                templates = self._pages(client, "/clustertemplates", "clustertemplates", "next")
                return [
                    {"clusters": clusters},
                    *({"clustertemplates": page["clustertemplates"]} for page in templates),
                    *self._flavors(),
                ]

    def _client(self, service: str) -> Adapter:
        """A client of a service, at the region, interface or endpoint that clouds.yaml sets for it."""
        from keystoneauth1.adapter import Adapter

        kind, config = SERVICE_TYPES[service], self._connection.config
        return Adapter(
            self._connection.session,
            service_type=kind,
            region_name=config.get_region_name(kind),
            interface=config.get_interface(kind),
            endpoint_override=config.get_endpoint(kind),
        )

    def _flavors(self) -> list[dict[str, Any]]:
        client = self._client("nova")
        pages = self._pages(client, "/flavors/detail", "flavors", "flavors_links")
        return [{"flavors": page["flavors"]} for page in pages]

    def _pages(self, client: Adapter, path: str, name: str, following: str) -> list[dict[str, Any]]:
        """All pages of a list. `following` is the member that has the address of the next page, or its links."""
        pages: list[dict[str, Any]] = []
        query = ""
        while len(pages) < PAGES_MAX:
            page = self._get(client, path + query)
            if not isinstance(page.get(name), list):
                raise NoAnswer(f"the answer of {path} has no {name}")
            pages.append(page)
            link = page.get(following)
            if isinstance(link, list):
                link = next((one["href"] for one in link if one.get("rel") == "next"), None)
            if not link:
                return pages
            query = f"?{urlsplit(link).query}"
        raise NoAnswer(f"{path} has more than {PAGES_MAX} pages")

    def _get(self, client: Adapter, path: str) -> dict[str, Any]:
        from keystoneauth1.exceptions import ClientException

        try:
            answer = client.get(path, headers={"Accept": "application/json"}, raise_exc=False)
            document = answer.json()
        except ClientException as error:
            raise NoAnswer(words_of(error)) from None
        except ValueError:
            raise NoAnswer(f"{path} answers {answer.status_code}, and not with JSON") from None
        if answer.status_code != 200 or not isinstance(document, dict):
            raise NoAnswer(f"{path} answers {answer.status_code}: {str(document)[:200]}")
        return document


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
