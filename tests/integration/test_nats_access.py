"""NATS lets each user do what it must and nothing else: no forged event, no deletion, no other project, no inbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig
from nats.js.errors import APIError, ServiceUnavailableError

from services.cli.failure import Failure
from services.cli.subscribers.commands import remove_at
from services.cli.up.consumers import CONFIGS, readers
from services.command.relay import Relay
from services.projector.consumer import Projector
from services.projector.generation import prepare
from shared.event_store import EventStore
from shared.jetstream import CONFIG, STREAM, ensure_stream
from shared.nats_access.users import COMMAND, NOTIFY, PROJECTOR, SEALER, STATUS, STREAMS
from shared.nats_server import NatsServer
from shared.tasks import end_tasks
from tests.integration.test_relay import assert_stream_is_the_store, relaying
from tests.support.backends import Nats, as_role, nats_of
from tests.support.histories import append_history, history
from tests.support.nats_users import (
    CAPTURING,
    HARMFUL,
    READING,
    ask,
    connected,
    consuming,
    embedded,
    make_subscriber,
    try_all,
)
from tests.support.oracle import oracle, table

BOUND_S = 30
USERS = {user.name: user for user in (COMMAND, PROJECTOR, NOTIFY, SEALER, STATUS)}
# Subjects to which a hostile user would like the server to send an answer.
TARGETS = (
    "hourbook.events.gaia.Forged",
    "hourbook.notices.gaia.forged",
    "hourbook.audit.checkpoint",
    f"$JS.API.STREAM.DELETE.{STREAM}",
    f"$JS.API.STREAM.PURGE.{STREAM}",
    f"$JS.API.STREAM.MSG.DELETE.{STREAM}",
    "_INBOX.command.victim",
    "_INBOX.victim",
)


class Ledger:
    """Three streams with some messages, and the administrator who looks at them."""

    def __init__(self, server: Nats, admin: Client) -> None:
        self.server, self.admin, self.context = server, admin, admin.jetstream()

    async def begin(self) -> None:
        for config in CONFIGS:
            await self.context.add_stream(config.evolve(deny_delete=True, deny_purge=True))
        for subject in ("gaia", "other", "gaia", "other"):
            await self.context.publish(f"hourbook.events.{subject}.Tested", subject.encode())
            await self.context.publish(f"hourbook.notices.{subject}.booking.started", subject.encode())
        await self.context.publish("hourbook.audit.checkpoint", b"a note")

    async def state(self) -> list[Any]:
        """Everything that a hostile user might change: settings, messages, consumers. A server that takes a new
        configuration answers nothing for a moment."""
        async with asyncio.timeout(BOUND_S):
            while True:
                try:
                    return await self._state()
                except (ServiceUnavailableError, nats.errors.TimeoutError):
                    await asyncio.sleep(0.05)

    async def _state(self) -> list[Any]:
        found: list[Any] = []
        names = sorted(one.config.name or "" for one in await self.context.streams_info())
        for name in names:
            info = await self.context.stream_info(name)
            found.append((name, info.config, info.state.messages, info.state.last_seq))
            for number in range(1, info.state.last_seq + 1):
                message = await self.context.get_msg(name, number)
                found.append((message.subject, message.data))
            consumers = await self.context.consumers_info(name)
            found += [(one.name, one.config.filter_subjects, one.num_ack_pending) for one in consumers]
        return found


@pytest.fixture
async def ledger(nats_server: Nats) -> AsyncIterator[Ledger]:
    embedded(nats_server)
    admin = await nats.connect(nats_server.url)
    ledger = Ledger(nats_server, admin)
    await ledger.begin()
    yield ledger
    await admin.close()


async def address_of(ledger: Ledger, who: str) -> str:
    if who == "subscriber":
        return await make_subscriber(ledger.server, "reports", "gaia")
    return ledger.server.url_of(who)


@pytest.mark.parametrize("who", [*USERS, "subscriber"])
async def test_no_user_deletes_changes_or_copies_a_stream(ledger: Ledger, who: str) -> None:
    url = await address_of(ledger, who)
    before = await ledger.state()
    async with connected(url, inbox_prefix="_INBOX.command") as client:
        assert await try_all(client, [*HARMFUL, *CAPTURING]) == []
        if who != "command":
            changed = CONFIG.evolve(max_msgs=1).as_dict()
            assert await try_all(client, [(f"STREAM.{kind}.{STREAM}", changed) for kind in ("UPDATE", "CREATE")]) == []
    assert await ledger.state() == before


@pytest.mark.parametrize("who", [*(name for name in USERS if name != "command"), "subscriber"])
async def test_a_forged_event_never_reaches_the_stream(ledger: Ledger, who: str) -> None:
    url = await address_of(ledger, who)
    before = await ledger.state()
    async with connected(url) as client:
        for subject in ("hourbook.events.gaia.GrantCreated", "hourbook.events.new.ProjectCreated"):
            await client.publish(subject, b"{}")
            await ask(client, subject, {})
        await client.flush()
    async with connected(url) as client:
        await client.publish("hourbook.doorbell", b"")
        await client.flush()
    assert await ledger.state() == before


@pytest.mark.parametrize("who", [*(name for name in USERS if name != "command"), "subscriber"])
async def test_an_answer_that_is_sent_to_another_subject_changes_nothing(ledger: Ledger, who: str) -> None:
    """Whoever asks names the subject of the answer: it must not be a message of a stream, a request, or an inbox."""
    url = await address_of(ledger, who)
    asked = [subject for subject in allowed(who) if subject.startswith("$JS.API")]
    own = tuple(subject.removesuffix(">") for subject in allowed(who))  # there it may publish anyhow
    targets = [target for target in TARGETS if not target.startswith(own or "-")]
    heard = await ledger.admin.subscribe("_INBOX.>")
    before = await ledger.state()
    async with connected(url) as client:
        for subject in asked:
            for target in targets:
                for body in (b"", b'{"seq": 1}', b'{"batch": 1, "no_wait": true}'):
                    await client.publish(subject, body, reply=target)
        await client.flush()
        await asyncio.sleep(0.2)  # what the server sends wrongly, it sends at once
    with contextlib.suppress(TimeoutError):
        while True:
            message = await heard.next_msg(timeout=0.1)
            assert "victim" not in message.subject
    after = await ledger.state()
    assert [one for one in after if len(one) != 3] == [one for one in before if len(one) != 3]


def allowed(who: str) -> tuple[str, ...]:
    if who in USERS:
        return USERS[who].publish
    return tuple(f"$JS.API.CONSUMER.{kind}.{STREAM}.reports" for kind in ("INFO", "MSG.NEXT", "RESET"))


async def test_such_an_answer_would_forge_an_event_if_a_subscriber_were_in_the_account_of_the_streams(
    ledger: Ledger,
) -> None:
    """Why each subscriber has an account of its own: this is what the administrator's account does."""
    await ledger.context.add_consumer(STREAM, ConsumerConfig(durable_name="inside"))
    asked = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.inside"
    await ledger.admin.publish(asked, b'{"batch": 1, "no_wait": true}', reply="hourbook.events.other.Forged")
    async with asyncio.timeout(BOUND_S):
        while (await ledger.context.stream_info(STREAM)).state.last_seq < 5:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("who", ["projector", "notify", "sealer", "subscriber"])
async def test_nobody_reads_what_is_not_for_them(ledger: Ledger, who: str) -> None:
    url = await address_of(ledger, who)
    before = await ledger.state()
    async with connected(url) as client:
        wanted = [*READING, *consuming("_INBOX.mine"), *consuming("", filter_subject="hourbook.events.>")]
        wanted += consuming(
            "", filter_subject="", filter_subjects=["hourbook.events.gaia.>", "hourbook.events.other.>"]
        )
        if who == "sealer":  # it publishes no checkpoint over what the stream has not got: so it may look
            wanted = [one for one in wanted if not one[0].startswith(("STREAM.INFO", "STREAM.MSG.GET"))]
        assert await try_all(client, wanted) == []
        heard: list[str] = []

        async def hear(message: nats.aio.msg.Msg) -> None:
            heard.append(message.subject)

        for subject in (">", "hourbook.>", "_INBOX.>", "_INBOX.command.>", "$JS.>"):
            await client.subscribe(subject, cb=hear)
        await client.flush()
        await ledger.context.publish("hourbook.events.other.Tested", b"other")
        await ledger.admin.publish("_INBOX.command.secret", b"an answer to the relay")
        await ledger.admin.publish("hourbook.doorbell", b"")
        await ledger.admin.flush()
        await client.flush()
    assert not [subject for subject in heard if "JS.API" not in subject and "hourbook.api" not in subject], heard
    assert len(await ledger.state()) == len(before) + 1


async def test_a_subscriber_gets_its_projects_and_acknowledges_them(ledger: Ledger) -> None:
    url = await make_subscriber(ledger.server, "reports", "gaia")
    async with connected(url) as client:
        context = client.jetstream()
        for stream, subject in (
            (STREAM, "hourbook.events.gaia.Tested"),
            (STREAMS[1], "hourbook.notices.gaia.booking.started"),
            (STREAMS[2], "hourbook.audit.checkpoint"),
        ):
            subscription = await context.pull_subscribe_bind("reports", stream=stream)
            messages = await subscription.fetch(10, timeout=1)
            assert {message.subject for message in messages} == {subject}
            for message in messages:
                await message.ack()
            async with asyncio.timeout(BOUND_S):
                while (await context.consumer_info(stream, "reports")).num_ack_pending:
                    await asyncio.sleep(0.01)
    assert [(one.name, one.projects) for one in await readers(ledger.context)] == [("reports", ("gaia",))]


async def test_a_subscriber_goes_on_at_its_own_position(ledger: Ledger) -> None:
    url = await make_subscriber(ledger.server, "reports", "gaia")
    async with connected(url) as client:
        subscription = await client.jetstream().pull_subscribe_bind("reports-ordered", stream=STREAM)
        for after, positions in ((0, [1, 3]), (1, [3]), (0, [1, 3]), (3, [])):
            await ask(client, f"$JS.API.CONSUMER.RESET.{STREAM}.reports-ordered", {"seq": after + 1})
            with contextlib.suppress(TimeoutError):
                found: list[int] = []
                found = [one.metadata.sequence.stream for one in await subscription.fetch(10, timeout=0.5)]
            assert found == positions


async def test_a_subscriber_reaches_nothing_of_another(ledger: Ledger) -> None:
    first, second = [
        await make_subscriber(ledger.server, name, project) for name, project in (("one", "gaia"), ("two", "other"))
    ]
    async with connected(first) as client, connected(second) as victim:
        heard = await victim.subscribe("_INBOX.>")
        await victim.flush()
        await client.publish("_INBOX.victim", b"forged")
        for kind in ("INFO", "MSG.NEXT", "RESET", "DELETE", "PAUSE", "UNPIN"):
            assert await try_all(client, [(f"CONSUMER.{kind}.{STREAM}.two", {"batch": 1})]) == []
        subscription = await victim.jetstream().pull_subscribe_bind("two", stream=STREAM)
        (message,) = await subscription.fetch(1, timeout=1)
        assert message.subject == "hourbook.events.other.Tested"
        await client.publish(message.reply, b"+ACK")  # as if it had done the work of the other
        await client.publish(message.reply, b"+TERM")
        await client.flush()
        assert (await victim.jetstream().consumer_info(STREAM, "two")).num_ack_pending == 1
        assert heard.pending_msgs == 0 or all("victim" not in one.subject for one in await drained(heard))


async def drained(subscription: Any) -> list[Any]:
    return [await subscription.next_msg(timeout=1) for _ in range(subscription.pending_msgs)]


async def test_a_subscriber_that_is_removed_is_refused(ledger: Ledger) -> None:
    url = await make_subscriber(ledger.server, "reports", "gaia")
    other = await make_subscriber(ledger.server, "others", "gaia")
    async with connected(url) as client:
        await remove_at(embedded(ledger.server), "reports")
        async with asyncio.timeout(BOUND_S):
            while client.is_connected:
                await asyncio.sleep(0.01)
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        async with connected(url):
            pass
    async with connected(other) as client:
        assert (await client.jetstream().consumer_info(STREAM, "others")).num_pending == 2
    assert [one.name for one in await readers(ledger.context)] == ["others"]
    with pytest.raises(Failure, match="there is no subscriber reports"):
        await remove_at(embedded(ledger.server), "reports")


async def test_a_name_that_is_taken_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    await ledger.context.add_consumer(STREAM, ConsumerConfig(durable_name="theirs"))
    await make_subscriber(ledger.server, "reports", "gaia")
    before = await ledger.state()
    with pytest.raises(Failure, match="a consumer theirs already"):
        await make_subscriber(ledger.server, "theirs", "gaia")
    with pytest.raises(Failure, match="a subscriber reports already"):
        await make_subscriber(ledger.server, "reports", "other")
    assert await ledger.state() == before


async def test_a_subscriber_whose_making_is_broken_off_is_not_there(ledger: Ledger) -> None:
    files = embedded(ledger.server).files
    making = asyncio.create_task(make_subscriber(ledger.server, "reports", "gaia"))
    async with asyncio.timeout(BOUND_S):
        while not files.subscribers():
            await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert files.subscribers() == []
    assert "subscriber-reports" not in files.config.read_text()
    assert await readers(ledger.context) == []


@pytest.mark.parametrize("user", ["", "command:wrong@", "nobody:x@", "a-token@"])
async def test_nobody_connects_without_a_user(ledger: Ledger, user: str) -> None:
    address = ledger.server.url.rpartition("@")[2]
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        async with connected(f"nats://{user}{address}"):
            pass


async def test_not_even_the_administrator_deletes_a_message(ledger: Ledger) -> None:
    before = await ledger.state()
    for stream in STREAMS:
        with pytest.raises(APIError):
            await ledger.context.purge_stream(stream)
        with pytest.raises(APIError):
            await ledger.context.delete_msg(stream, 1)
        info = await ledger.context.stream_info(stream)
        with pytest.raises(APIError):
            await ledger.context.update_stream(info.config.evolve(deny_purge=False, deny_delete=False))
    assert await ledger.state() == before


async def test_a_stream_of_an_earlier_version_refuses_deletions_from_the_start_on(nats_server: Nats) -> None:
    admin = await nats.connect(nats_server.url)
    await admin.jetstream().add_stream(CONFIG)
    await admin.jetstream().publish("hourbook.events.gaia.Tested", b"1")
    async with connected(nats_server.url_of("command"), inbox_prefix="_INBOX.command") as client:
        assert await ensure_stream(client.jetstream()) == 1
    config = (await admin.jetstream().stream_info(STREAM)).config
    assert (config.deny_delete, config.deny_purge) == (True, True)
    await admin.close()


async def test_after_every_attack_the_relay_goes_on_and_the_read_models_are_those_of_the_store(
    database_url: str, nats_server: Nats
) -> None:
    connection = await asyncpg.connect(database_url)
    await prepare(connection)
    store, admin = EventStore(connection), await nats.connect(nats_server.url)
    events = history(seed=7, length=60, projects=1)
    await append_history(store, events)
    projector = Projector(as_role(database_url, "projector"), nats_of(nats_server, "projector"))
    projecting = asyncio.create_task(projector.run())
    async with relaying(Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05)) as relay:
        await assert_stream_is_the_store(store, admin)
        urls = [nats_server.url_of(who) for who in USERS if who != "command"]
        urls.append(await make_subscriber(nats_server, "reports", events[0].project))
        forged = (await store.after(1, 1))[0]
        for number, url in enumerate(urls):
            async with connected(url) as client:
                await client.publish(f"hourbook.events.{forged.stream}.{forged.type}", forged.data)
                await try_all(client, [*HARMFUL, *CAPTURING])
            at = msgspec.structs.replace(events[0], project=f"more-{number}", command=uuid4())
            await append_history(store, [at])
            events.append(at)
            relay.ring()
            await assert_stream_is_the_store(store, admin)
        assert relay.trouble.problem is None
    async with asyncio.timeout(BOUND_S):
        while await connection.fetchval("SELECT position FROM generation WHERE live") < await store.head():
            await asyncio.sleep(0.01)
    assert await table(connection) == await oracle(connection, events)
    await end_tasks(projecting)
    await admin.close()
    await connection.close()


async def test_a_relay_with_a_wrong_password_says_which_setting_is_wrong(database_url: str, nats_server: Nats) -> None:
    embedded(nats_server)
    url = f"nats://command:wr0ng@{nats_server.url.rpartition('@')[2]}"
    async with (
        relaying(Relay(as_role(database_url, "command"), NatsServer(url), poll_s=0.05)) as relay,
        asyncio.timeout(BOUND_S),
    ):
        while "the password of HOURBOOK_NATS_URL" not in (relay.trouble.problem or ""):
            await asyncio.sleep(0.01)
        assert "wr0ng" not in (relay.trouble.problem or "")
