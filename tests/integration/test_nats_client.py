"""The private functions of nats-py that Hourbook uses do what it relies on.

`Client._send_command` writes bytes to the connection as they are. It was read in nats-py 2.16. If a later version
breaks this test, `publish_batch` in shared/jetstream.py can call `client.publish(subject, data, headers=headers)` for
every message instead. That function is public. It costs about 18 us an event more.

`Client._connect_command` makes the message with the password, after the server has said whether it has TLS. If
`NatsClient` in shared/nats_server.py does not stop it any more, tests/integration/test_nats_tls.py fails.

`Client._process_info` adds the servers that a server tells, `_process_op_err` is called when the connection is lost,
`_connect_to_server` opens the next one, and `_resp_map` has the requests that wait.
"""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import version
from urllib.parse import urlsplit

import nats
import pytest

from shared.jetstream import hpub, join, leave
from shared.nats_server import ConnectionLost, NatsClient, NatsServer
from shared.trouble import Trouble
from tests.support.backends import Nats

READ = ((2, 16), (3, 0))  # from, and before


def test_nats_py_is_of_the_versions_that_were_read() -> None:
    lowest, beyond = READ
    installed = tuple(int(part) for part in version("nats-py").split(".")[:2])
    assert lowest <= installed < beyond, (
        "read Client._send_command and Client._connect_command again, run this file, and change READ"
    )


async def test_bytes_handed_to_the_client_arrive_as_messages_before_what_follows(nats_server: Nats) -> None:
    client = await nats.connect(nats_server.url)
    subscription = await client.subscribe("told.>")
    await client.flush()
    frames = [hpub(f"told.{number}", {"Number": str(number)}, b"%d" % number) for number in range(100)]
    await client._send_command(b"".join(frames))
    await client.publish("told.last", b"last")
    async with asyncio.timeout(10):
        messages = [await subscription.next_msg(timeout=10) for _ in range(101)]
    await client.close()
    assert [message.data for message in messages] == [*(b"%d" % number for number in range(100)), b"last"]
    assert [(message.headers or {}).get("Number") for message in messages[:-1]] == [str(one) for one in range(100)]
    assert messages[7].subject == "told.7"


async def test_servers_that_a_server_tells_are_not_used_and_a_lost_connection_ends_requests(nats_server: Nats) -> None:
    client = NatsClient()
    await join(client, NatsServer(nats_server.url), Trouble(logging.getLogger(__name__), "test"))
    await client._process_info({"connect_urls": ["192.0.2.1:4222"]})
    assert [one.uri.hostname for one in client._server_pool] == [urlsplit(nats_server.url).hostname]
    subscription = await client.subscribe("asked")  # nobody answers
    asking = asyncio.create_task(client.request("asked", timeout=60))
    async with asyncio.timeout(10):
        await subscription.next_msg(timeout=10)
        await asyncio.to_thread(nats_server.stop)
        with pytest.raises(ConnectionLost):
            await asking
    await leave(client)
