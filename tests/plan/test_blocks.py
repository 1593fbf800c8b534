import pytest
from support.sql_fixtures import shortened, statement_of

from aurora_ml_proxy.plan.blocks import Phase, block_of, first_word, read_blocks, word


def shape(text: str) -> list[dict[str, str]]:
    """Each block's parts as text, and its items."""
    statement = statement_of(text)
    found = []
    for block in read_blocks(statement):
        parts = {
            keyword.decode(): shortened(statement.source(*span).decode())
            for keyword, span in block.parts.items()
        }
        if block.is_select:
            items = (statement.source(i.first, i.last).decode() for i in block.items)
            parts["SELECT"] = shortened(" | ".join(items))
        found.append(parts)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", [{"SELECT": "1"}]),
        (
            "SELECT a, b FROM c WHERE d GROUP BY e HAVING f ORDER BY g LIMIT 1, 2",
            [
                {
                    "SELECT": "a | b",
                    "FROM": "c",
                    "WHERE": "d",
                    "GROUP": "e",
                    "HAVING": "f",
                    "ORDER": "g",
                    "LIMIT": "1, 2",
                }
            ],
        ),
        (
            "SELECT (SELECT a FROM b) FROM c WHERE d IN (SELECT e)",
            [
                {
                    "SELECT": "(SELECT a FROM b)",
                    "FROM": "c",
                    "WHERE": "d IN (SELECT e)",
                },
                {"SELECT": "a", "FROM": "b"},
                {"SELECT": "e"},
            ],
        ),
        (
            "SELECT a FROM b UNION ALL SELECT c FROM d ORDER BY e",
            [{"SELECT": "a", "FROM": "b"}, {"SELECT": "c", "FROM": "d", "ORDER": "e"}],
        ),
        (
            "UPDATE IGNORE a JOIN b ON c SET d = 1, e = 2 WHERE f ORDER BY g LIMIT 3",
            [
                {
                    "FROM": "a JOIN b ON c",
                    "SET": "d = 1, e = 2",
                    "WHERE": "f",
                    "ORDER": "g",
                    "LIMIT": "3",
                }
            ],
        ),
        (
            "DELETE FROM a WHERE b LIMIT 1 RETURNING c, d",
            [{"FROM": "a", "WHERE": "b", "LIMIT": "1", "RETURNING": "c, d"}],
        ),
        ("DELETE a FROM b a, c WHERE d", [{"FROM": "b a, c", "WHERE": "d"}]),
        (
            "DELETE FROM a USING b a JOIN c USING (d) WHERE e",
            [{"FROM": "b a JOIN c USING (d)", "WHERE": "e"}],
        ),
        (
            "INSERT INTO a SELECT b FROM c ON DUPLICATE KEY UPDATE d = 1",
            [{"SELECT": "b", "FROM": "c"}],
        ),
        (
            "INSERT INTO a SELECT b FROM c RETURNING d",
            [{"SELECT": "b", "FROM": "c"}],
        ),
        ("SELECT a.select FROM b", [{"SELECT": "a.select", "FROM": "b"}]),
        # What is empty is none.
        ("SELECT a FROM WHERE ORDER BY LIMIT", [{"SELECT": "a"}]),
        ("UPDATE SET WHERE", [{}]),
        ("DELETE", [{}]),
        ("SELECT", [{"SELECT": ""}]),
        ("", []),
    ],
)
def test_the_blocks_of_a_statement(text, expected):
    assert shape(text) == expected


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("SELECT 1", "SELECT"),
        ("((SELECT 1))", "SELECT"),
        ("WITH a AS (SELECT 1) UPDATE b SET c = 1", "UPDATE"),
        ("WITH RECURSIVE a (b, c) AS (SELECT 1), d AS (SELECT 2) (SELECT 3)", "SELECT"),
        ("WITH a AS (SELECT 1) CYCLE b RESTRICT DELETE FROM c", "DELETE"),
        ("SET STATEMENT a = 1, b = 2 FOR INSERT INTO c VALUES (1)", "INSERT"),
        ("SET STATEMENT a = (SELECT 1 FOR UPDATE) FOR DO 1", "DO"),
        ("SET a = 1", "SET"),
        ("SET STATEMENT a = 1", ""),
        ("WITH a SELECT", "WITH"),
        ("WITH a AS (SELECT 1) CYCLE b", "WITH"),
        ("", ""),
    ],
)
def test_the_statements_own_keyword(text, first):
    statement = statement_of(text)
    assert word(statement, first_word(statement)) == first.encode()


def test_a_block_knows_the_tables_of_the_withs_around_it():
    text = (
        "WITH RECURSIVE a AS (SELECT 1) SELECT * FROM (WITH b AS (SELECT 2) SELECT 3) c"
    )
    blocks = read_blocks(statement_of(text))
    withs = {block.items[0].first: len(block.withs) for block in blocks}
    assert list(withs.values()) == [1, 1, 2, 2]
    assert blocks[0].is_recursive and blocks[-1].is_recursive


def test_a_block_knows_what_it_may_mean_and_when_it_is_evaluated():
    text = "SELECT (SELECT 1) FROM (SELECT 2) a WHERE (SELECT 3 UNION SELECT 4) HAVING b"
    outer, in_list, in_from, in_where, in_union = read_blocks(statement_of(text))
    assert {b.parent for b in (in_list, in_from, in_where, in_union)} == {outer}
    assert [b.place for b in (in_list, in_from, in_where, in_union)] == [
        *(Phase.LIST, Phase.FROM, Phase.WHERE, Phase.WHERE)
    ]
    assert [b.in_union for b in (outer, in_where, in_union)] == [False, True, True]


@pytest.mark.parametrize(
    ("at", "phase", "part"),
    [
        ("i", Phase.LIST, b"SELECT"),
        ("f", Phase.FROM, b"FROM"),
        ("w", Phase.WHERE, b"WHERE"),
        ("o", Phase.LIST, b"ORDER"),
    ],
)
def test_when_a_part_is_evaluated(at, phase, part):
    statement = statement_of("SELECT i FROM f WHERE w ORDER BY o")
    (block,) = read_blocks(statement)
    (token,) = (
        i for i, t in enumerate(statement.tokens) if t.text == at.upper().encode()
    )
    assert block.phase(token) is phase
    assert block.part_at(token) == part
    assert block_of([block], token) is block
