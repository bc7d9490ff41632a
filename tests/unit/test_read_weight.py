"""A read of many hours waits for its turn, whatever the question; a read of few hours, or of none, does not."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from services.query.answers.answers import HOURS_FREE, Question, read_weight
from services.query.questions.calendar import CalendarQuery, CalendarQuestion, parse_calendar, parse_openstack
from services.query.questions.matrix import MatrixQuery, parse_matrix
from services.query.questions.model import (
    AccountsQuestion,
    ClusterQuestion,
    ConflictsQuestion,
    MostQuestion,
    NowQuestion,
    ProjectSizesQuestion,
    QuotaQuestion,
    ResizesQuestion,
    SlotsQuestion,
    TemplatesQuestion,
    UsageQuestion,
)
from services.query.questions.parameters import TemplateName
from services.query.questions.sight import EVERYWHERE
from services.query.questions.trees import COLUMNS_MAX, ITEMS_MAX, TreeSlotsQuestion, parse_tree_bookings
from shared.hours import Period, instant_of

LONG = Period(500_000, 500_000 + HOURS_FREE + 1)
MONTH = Period(500_000, 500_000 + 31 * 24)
SHORT = Period(500_000, 500_000 + HOURS_FREE)


def calendar(period: Period) -> CalendarQuestion:
    return parse_calendar(CalendarQuery(project="gaia"), "available", False, period)


def about_a_period(period: Period) -> list[Question]:
    sizes = parse_openstack(CalendarQuery(project="gaia"), "granted", False, period)
    return [
        calendar(period),
        sizes,
        ProjectSizesQuestion(calendar=sizes),
        SlotsQuestion(field="project", pool="gaia", period=period, earliest=period.start, duration=1),
        MostQuestion(field="project", pool="gaia", period=period, template=TemplateName("small")),
        ConflictsQuestion(field="project", pool="gaia", period=period),
        UsageQuestion(account="ada", project=None, period=period, grain="day", zone="UTC", dimensions=("cores",)),
    ]


@pytest.mark.parametrize("question", about_a_period(LONG), ids=lambda question: type(question).__name__)
def test_a_read_of_many_hours_weighs_its_hours(question: Question) -> None:
    assert read_weight(question) == HOURS_FREE + 1


@pytest.mark.parametrize("question", about_a_period(SHORT), ids=lambda question: type(question).__name__)
def test_a_read_of_few_hours_weighs_nothing(question: Question) -> None:
    assert read_weight(question) == 0


def test_a_read_of_a_tree_weighs_as_ten_pools_and_a_month_of_it_nothing() -> None:
    query = MatrixQuery(
        project="gaia", clusterid=None, period=None, grain=None, tz="UTC", dimension=None, template=None, min_position=0
    )
    for period, weight in ((LONG, 10 * LONG.hours), (SHORT, 10 * SHORT.hours), (MONTH, 0)):
        text = f"{instant_of(period.start).isoformat()},{instant_of(period.end).isoformat()}"
        matrix = parse_matrix(msgspec.structs.replace(query, period=text), False, EVERYWHERE)
        slots = SlotsQuestion(field="project", pool="gaia", period=period, earliest=period.start, duration=1)
        tree = TreeSlotsQuestion(field="project", pool="gaia", period=period, slots=slots)
        assert [read_weight(question) for question in (matrix, tree)] == [weight, weight]


def test_a_page_of_more_bookings_than_others_have_weighs_its_bookings() -> None:
    query = CalendarQuery(project="gaia", period="2086-01-01,2086-01-02", shape="columns")
    for limit, weight in ((COLUMNS_MAX, COLUMNS_MAX), (ITEMS_MAX, 0)):
        page = msgspec.structs.replace(query, limit=limit)
        assert read_weight(parse_tree_bookings(page, False, EVERYWHERE)) == weight


def test_a_read_of_one_hour_or_of_none_weighs_nothing() -> None:
    questions: list[Question] = [
        NowQuestion(field="project", pool="gaia", hour=500_000),
        ClusterQuestion(field="id", pool="gaia.spark", hour=500_000),
        ResizesQuestion(field="id", pool="gaia.spark"),
        TemplatesQuestion(project="gaia", limit=10),
        AccountsQuestion(project="gaia", limit=10),
        QuotaQuestion(grant=UUID(int=1)),
    ]
    assert [read_weight(question) for question in questions] == [0] * 6
    assert [question.hours for question in questions] == [Period(500_000, 500_001)] * 2 + [None] * 4
