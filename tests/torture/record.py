"""What the clients have seen: what was acknowledged, every answer by its status, and when nothing was acknowledged."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, NamedTuple
from uuid import UUID

GAP_S = 0.25  # shorter silences are not kept
WRONG_MAX, WORDS_MAX = 50, 400
PASSING = (502, 503, 504)  # "ask again" while something is broken
REFUSED = (409, 422)


class Acknowledged(NamedTuple):
    """`events`: how many the answer says that the command has made; `position` is that of the last one."""

    events: int
    position: int


class Gap(NamedTuple):
    """No command was acknowledged from `since` to `until` (monotonic seconds)."""

    since: float
    until: float


class Record:
    """`wrong` has each thing that must never happen, in words."""

    def __init__(self) -> None:
        self.acknowledged: dict[UUID, Acknowledged] = {}
        self.statuses: Counter[str] = Counter()
        self.gaps: list[Gap] = []
        self.wrong: list[str] = []
        self.last_at = time.monotonic()

    def fail(self, words: str) -> None:
        if len(self.wrong) < WRONG_MAX:
            self.wrong.append(words[:WORDS_MAX])

    def saw(self, kind: str, status: int, code: str = "") -> None:
        """`kind` is `read` or `command`. An answer that is no answer to this kind of request is wrong."""
        self.statuses[f"{kind} {status} {code}".strip()] += 1

    def lost(self, kind: str, error: BaseException) -> None:
        """The connection to the one address ended without an answer."""
        self.statuses[f"{kind} {type(error).__name__}"] += 1

    def acknowledge(self, body: dict[str, Any]) -> None:
        """An answer 200 or 201 to a command."""
        self._ended_gap()
        decided = body.get("decided") or []
        if not decided:
            return
        commands = {UUID(event["command"]) for event in decided}
        if len(commands) != 1:
            self.fail(f"one answer has the events of several commands: {sorted(map(str, commands))}")
        made = Acknowledged(len(decided), body["position"])
        for command in commands:
            before = self.acknowledged.setdefault(command, made)
            if before != made:
                self.fail(f"the command {command} was answered as {before} and as {made}")

    def _ended_gap(self) -> None:
        now = time.monotonic()
        if now - self.last_at > GAP_S:
            self.gaps.append(Gap(self.last_at, now))
        self.last_at = now

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without an acknowledgement that began in this span, in seconds."""
        began = [gap for gap in self.gaps if since - GAP_S <= gap.since < until]
        return max((gap.until - gap.since for gap in began), default=0.0)
