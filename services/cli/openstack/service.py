"""One service of a cloud, as openstacksdk reaches it: its answers as JSON, page by page, asked again where that helps.

keystoneauth signs in again, once for each request, when a service does not take the token any more.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.errors import words_of

if TYPE_CHECKING:
    from keystoneauth1.adapter import Adapter
    from openstack.connection import Connection
    from requests import Response

# The service type of each in the catalogue of a cloud, and the versions that are read.
SERVICE_TYPES = {"nova": "compute", "blazar": "reservation", "magnum": "container-infrastructure-management"}
VERSIONS = {"nova": ("2", "2.latest"), "blazar": ("1", "1.latest"), "magnum": ("1", "1.latest")}
# The microversion to ask for: flavors say their extra specs since 2.61, and clusters have node groups since 1.9.
MICROVERSIONS = {"nova": "compute 2.61", "magnum": "container-infra 1.9"}
MICROVERSION = "OpenStack-API-Version"
PAGES_MAX = 1000
TIMEOUT_S = 60.0  # where clouds.yaml has no api_timeout
BUSY = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
TRIES = 4
FIRST_WAIT_S = 1.0  # the next ones are twice as long each
WAIT_MAX_S = 60.0  # a service that asks for more time than this gets none


class NoAnswer(Exception):
    """A service did not answer with a valid document. The message says why."""


class NotThere(NoAnswer):
    """The service answers 404: it has no such thing."""


class NotInCatalogue(NoAnswer):
    """The cloud has no such service."""


class Service:
    """A service of a cloud. Its methods block, and raise NoAnswer."""

    def __init__(self, connection: Connection, name: str, first_wait_s: float = FIRST_WAIT_S) -> None:
        self._client = adapter(connection, name)
        self._timeout_s = connection.session.timeout or TIMEOUT_S
        self._first_wait_s = first_wait_s
        self.microversion = MICROVERSIONS.get(name)

    def pages(self, path: str, name: str, following: str) -> list[dict[str, Any]]:
        """All pages of a list. `following` is the member that has the address of the next page, or its links."""
        pages: list[dict[str, Any]] = []
        query, asked = "", set[str]()
        while len(pages) < PAGES_MAX:
            asked.add(query)
            page = self.get(path + query)
            if not isinstance(page.get(name), list):
                raise NoAnswer(f"the answer of {path} has no {name}")
            pages.append({name: page[name]})
            address = next_address(page.get(following), path)
            if address is None:
                return pages
            query = f"?{urlsplit(address).query}"
            if query in asked:
                raise NoAnswer(f"{path} has a next page that was read before: {query[:200]}")
        raise NoAnswer(f"{path} has more than {PAGES_MAX} pages")

    def get(self, path: str) -> dict[str, Any]:
        """The document at a path. Raises NotThere for a 404."""
        answer = self._answer(path)
        if answer.status_code == HTTPStatus.NOT_ACCEPTABLE and self.microversion is not None:
            self.microversion = None  # this release is older
            answer = self._answer(path)
        document = decoded(answer, path)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise NotThere(f"{path} answers 404: {str(document)[:200]}")
        if answer.status_code != HTTPStatus.OK or not isinstance(document, dict):
            raise NoAnswer(f"{path} answers {answer.status_code}: {str(document)[:200]}")
        return document

    def _answer(self, path: str) -> Response:
        """The answer of the service; it is asked again while it is busy."""
        from keystoneauth1.exceptions import ClientException, EndpointNotFound, RetriableConnectionFailure

        wait_s = self._first_wait_s
        for left in reversed(range(TRIES)):
            try:
                answer = self._sent(path)
            except EndpointNotFound as error:
                raise NotInCatalogue(words_of(error)) from None
            except RetriableConnectionFailure as error:
                if left == 0:
                    raise NoAnswer(words_of(error)) from None
                time.sleep(wait_s)
            except ClientException as error:
                raise NoAnswer(words_of(error)) from None
            else:
                if answer.status_code not in BUSY or left == 0:
                    return answer
                time.sleep(asked_wait_s(answer.headers, path, wait_s))
            wait_s *= 2
        raise AssertionError("the last try answers or raises")

    def _sent(self, path: str) -> Response:
        headers = {"Accept": "application/json"}
        if self.microversion is not None:
            headers[MICROVERSION] = self.microversion
        return self._client.get(path, headers=headers, raise_exc=False, timeout=self._timeout_s)


def adapter(connection: Connection, name: str) -> Adapter:
    """A client of a service, at the region, interface or endpoint that clouds.yaml sets for it."""
    from keystoneauth1.adapter import Adapter

    kind, config = SERVICE_TYPES[name], connection.config
    least, most = VERSIONS[name]
    return Adapter(
        connection.session,
        service_type=kind,
        region_name=config.get_region_name(kind),
        interface=config.get_interface(kind),
        endpoint_override=config.get_endpoint(kind),
        min_version=least,
        max_version=most,
        status_code_retries=0,
    )


def decoded(answer: Response, path: str) -> Any:
    """The JSON of an answer. Raises NoAnswer."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        raise NoAnswer(f"{path} answers {answer.status_code}, and not with JSON") from None


def next_address(following: Any, path: str) -> str | None:
    """The address of the next page: a text, or the link `next` of a list of links; None after the last page."""
    if isinstance(following, list):
        links = [one for one in following if isinstance(one, dict) and one.get("rel") == "next"]
        following = links[0].get("href") if links else None
    if not following:
        return None
    if not isinstance(following, str):
        raise NoAnswer(f"the answer of {path} has a next page that is no address")
    return following


def asked_wait_s(headers: Mapping[str, str], path: str, otherwise_s: float) -> float:
    """How long a busy service asks to wait, in its header Retry-After: seconds, or a date. Raises NoAnswer if that is
    too long."""
    text = headers.get("Retry-After", "").strip()
    try:
        wait_s = float(text) if text.isdecimal() else (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return otherwise_s
    if wait_s > WAIT_MAX_S:
        raise NoAnswer(f"{path} is busy, and asks to be asked again in {wait_s:.0f} seconds")
    return max(0.0, wait_s)
