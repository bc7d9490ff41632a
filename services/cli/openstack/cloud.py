"""A cloud that is asked through openstacksdk: its documents are those of the files, as OpenStack's APIs answer them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from services.cli.failure import Failure

if TYPE_CHECKING:
    from keystoneauth1.adapter import Adapter
    from openstack.connection import Connection

# How each is called in a cloud's catalogue.
SERVICE_TYPES = {"nova": "compute", "blazar": "reservation", "magnum": "container-infrastructure-management"}
PAGES_MAX = 1000


class NoAnswer(Exception):
    """A service could not be asked. The message says why."""


class Cloud:
    """One project of a cloud. Its calls block, and raise NoAnswer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def project(self) -> str:
        """The id of the OpenStack project. Raises Failure when the cloud does not let us in."""
        from keystoneauth1.exceptions import ClientException

        try:
            project = self._connection.current_project_id
        except ClientException as error:
            raise Failure(f"the cloud cannot be used: {error}") from None
        if not project:
            raise Failure("the cloud's sign-in is for no project: give one in clouds.yaml, or OS_PROJECT_ID")
        return str(project)

    def documents(self, service: str) -> list[dict[str, Any]]:
        """All that `hourbook import` could be given of a service. Raises NoAnswer."""
        client = self._client(service)
        match service:
            case "nova":
                return [self._get(client, f"/os-quota-sets/{self.project()}"), *self._flavors()]
            case "blazar":
                return [self._get(client, "/leases"), *self._flavors()]
            case _:
                # A list of clusters does not say when they were made, nor of which flavors.
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
        """What clouds.yaml says of the service's place holds."""
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
        """Every page of a list. The next one is named by an address, alone or among links; its query is what counts."""
        pages: list[dict[str, Any]] = []
        query = ""
        while len(pages) < PAGES_MAX:
            page = self._get(client, path + query)
            if not isinstance(page.get(name), list):
                raise NoAnswer(f"{path} answers without {name}")
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
            raise NoAnswer(str(error) or type(error).__name__) from None
        except ValueError:
            raise NoAnswer(f"{path} answers {answer.status_code}, and no JSON") from None
        if answer.status_code != 200 or not isinstance(document, dict):
            raise NoAnswer(f"{path} answers {answer.status_code}: {str(document)[:200]}")
        return document


def connect(name: str | None) -> Cloud:
    """A cloud of clouds.yaml, or the one that OS_CLOUD or the other OS_ variables name. Raises Failure."""
    try:
        import openstack
    except ImportError:
        raise Failure("this needs openstacksdk: pip install 'hourbook[openstack]'") from None
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import ConfigException

    try:
        with warnings.catch_warnings():
            # It warns of its own metrics, which nobody asked for.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            return Cloud(openstack.connect(cloud=name, app_name="hourbook"))
    except (ConfigException, ClientException) as error:
        raise Failure(f"no cloud can be used: {error}; name one of clouds.yaml with --cloud or OS_CLOUD") from None
