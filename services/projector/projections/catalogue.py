"""template and account: the templates and accounts of each project."""

from __future__ import annotations

from typing import NamedTuple

from services.projector.projections.availability import Counts
from shared.events import AccountCreated, Limits, TemplateCreated


class TemplateRow(NamedTuple):
    project: str
    name: str
    version: int
    counts: Counts
    actor: str
    created: int


class AccountRow(NamedTuple):
    project: str
    account: str
    name: str
    limits: Limits
    closed: bool
    created: int


class CatalogueChanges:
    """`templates` and `accounts` are created in this batch. `limits` and `closed` change accounts of earlier batches,
    by (project, account)."""

    def __init__(self) -> None:
        self.templates: list[TemplateRow] = []
        self.accounts: dict[tuple[str, str], AccountRow] = {}
        self.limits: dict[tuple[str, str], Limits] = {}
        self.closed: dict[tuple[str, str], None] = {}

    def add_template(self, event: TemplateCreated, position: int) -> None:
        counts = event.capacity.counts()
        row = TemplateRow(event.project, event.template, event.version, counts, event.actor, position)
        self.templates.append(row)

    def add_account(self, event: AccountCreated, position: int) -> None:
        row = AccountRow(event.project, event.account, event.name, event.limits, closed=False, created=position)
        self.accounts[event.project, event.account] = row

    def set_limits(self, project: str, account: str, limits: Limits) -> None:
        key = (project, account)
        if key in self.accounts:
            self.accounts[key] = self.accounts[key]._replace(limits=limits)
        else:
            self.limits[key] = limits

    def close(self, project: str, account: str) -> None:
        key = (project, account)
        if key in self.accounts:
            self.accounts[key] = self.accounts[key]._replace(closed=True)
        else:
            self.closed[key] = None
