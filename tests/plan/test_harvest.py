import pytest
from support.sql_fixtures import (
    MARIADB,
    MYSQL,
    Planned,
    inline_of,
    read_planned,
    shown_harvests,
    text,
)

from aurora_ml_proxy.functions import CONFIDENCE, LABEL
from aurora_ml_proxy.plan.plan import Asked


@pytest.mark.parametrize("planned", read_planned(), ids=lambda p: p.statement[:60])
def test_the_queries_that_read_the_texts(planned: Planned):
    plan = inline_of(planned.statement, MYSQL if planned.is_mysql else MARIADB)
    assert shown_harvests(plan) == planned.harvests


def first_queries(statement: str) -> list[str]:
    return [text(h.queries[0].sql) for h in inline_of(statement).harvests]


def test_what_the_columns_of_a_harvest_are():
    plan = inline_of("SELECT UPPER(F(t,'de',5)), UPPER(G(t,l,n)) FROM fb")
    assert [h.asked for h in plan.harvests] == [
        (Asked(0, LABEL, 0, "de", 5, None),),
        (Asked(1, CONFIDENCE, 0, 1, 25, 2),),
    ]
    assert [h.queries[0].width for h in plan.harvests] == [1, 3]


def test_calls_with_the_same_arguments_share_a_harvest():
    assert first_queries("SELECT UPPER(F(t,'en')), UPPER(G(t,'en')) FROM fb") == [
        "SELECT DISTINCT [t] FROM fb"
    ]


def test_literals_share_one_query_each_asked_once():
    found = inline_of("SELECT UPPER(F('a','en')), UPPER(F('b','de')), UPPER(F('a','en'))")
    assert [text(q.sql) for h in found.harvests for q in h.queries] == [
        "SELECT ['a'],['b'] LIMIT 1"
    ]
    assert found.harvests[0].asked == (
        Asked(0, LABEL, 0, "en", 25, None),
        Asked(1, LABEL, 1, "de", 25, None),
    )


def test_what_a_call_needs_is_read_before_the_call():
    assert first_queries(
        "WITH c AS (SELECT F('a','en') AS x, F(t,'en') AS s FROM fb) "
        "SELECT UPPER(F(F(s,'de'),'de')) FROM (SELECT s FROM c WHERE G(s,'en') > 0) d"
    ) == [
        "SELECT ['a'] LIMIT 1",
        "WITH c AS (SELECT «0» AS x, «1» AS s FROM fb) SELECT DISTINCT [t] FROM fb",
        "WITH c AS (SELECT «0» AS x, «1» AS s FROM fb) SELECT DISTINCT [s] FROM c",
        "WITH c AS (SELECT «0» AS x, «1» AS s FROM fb) "
        "SELECT DISTINCT [s] FROM (SELECT s FROM c WHERE «4» > 0) d",
        "WITH c AS (SELECT «0» AS x, «1» AS s FROM fb) "
        "SELECT DISTINCT [«3»] FROM (SELECT s FROM c WHERE «4» > 0) d",
    ]


def test_a_table_of_a_with_is_read_before_a_growing_prefix_of_it():
    assert first_queries(
        "WITH c AS (SELECT F(t,'en') AS s FROM fb LIMIT 3) "
        "SELECT s FROM c WHERE F(s,'en') = 'x' LIMIT 1"
    ) == [
        "WITH c AS (SELECT «0» AS s FROM fb LIMIT 3) SELECT [t] FROM fb LIMIT 3",
        "WITH c AS (SELECT «0» AS s FROM fb LIMIT 3) "
        "SELECT [s] FROM c WHERE ((«1?» = 'x') OR «?1»)",
    ]


def test_no_harvest_tries_one_query_twice():
    for planned in read_planned():
        plan = inline_of(planned.statement, MYSQL if planned.is_mysql else MARIADB)
        for harvest in plan.harvests:
            assert len(set(harvest.queries)) == len(harvest.queries)
