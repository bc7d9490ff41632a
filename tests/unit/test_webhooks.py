"""The hosts to which webhooks may go, and the delays between attempts."""

import pytest

from services.notify.webhooks import Retries
from shared.webhook_hosts import HostNotAllowed, allowed_hosts, check_url

ALLOWED = allowed_hosts("Hooks.example.org, *.inside.example.org:8443,")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.org/x?y=1", True),
        ("http://HOOKS.example.org", True),
        ("https://hooks.example.org:444/", False),
        ("https://a.hooks.example.org/", False),
        ("https://hooks.example.org.evil.com/", False),
        ("https://a.inside.example.org:8443/", True),
        ("https://a.b.inside.example.org:8443/", True),
        ("https://inside.example.org:8443/", False),
        ("https://evilinside.example.org:8443/", False),
        ("https://a.inside.example.org/", False),
        ("http://169.254.169.254/latest", False),
        ("http://127.0.0.1/", False),
    ],
)
def test_only_hosts_on_the_list(url: str, allowed: bool) -> None:
    if allowed:
        assert check_url(url, ALLOWED) == url
    else:
        with pytest.raises(HostNotAllowed):
            check_url(url, ALLOWED)


def test_without_a_list_there_is_nowhere_to_go() -> None:
    with pytest.raises(HostNotAllowed, match="none"):
        check_url("https://hooks.example.org", allowed_hosts(""))


def test_waiting_doubles_up_to_a_bound_and_is_spread() -> None:
    retries = Retries(first_s=5, most_s=3600)
    assert [retries.delay_s(failures, 0.5) for failures in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert retries.delay_s(5000, 0.5) == 3600
    assert (retries.delay_s(1, 0), retries.delay_s(1, 1)) == (3.75, 6.25)
