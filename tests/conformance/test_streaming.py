"""A million spliced rows: streamed in order, with a memory that stays flat."""

from collections.abc import Callable
from pathlib import Path

import pymysql
import pytest
from support.fakes import Fake
from support.oracle import SCHEMA
from support.proxies import Proxy
from support.servers import Server

from aurora_ml_proxy.backends.oracle import expected
from aurora_ml_proxy.functions import CONFIDENCE, LABEL

pytestmark = [pytest.mark.mysql, pytest.mark.slow]

ROWS = 1_000_000
TEXTS = 200
MAY_GROW_KIB = 32 << 10
"""The window is 8 MiB; the client's and the upstream's buffers are under 1 MiB each."""


def peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


@pytest.mark.timeout(300)
def test_a_million_rows_stream_in_order_with_a_flat_memory(
    mariadb10: Server, oracle_proxy: Callable[[Server], Proxy], fake: Fake
) -> None:
    proxy = oracle_proxy(mariadb10)
    account = mariadb10.account()
    connection = pymysql.connect(
        host=proxy.host,
        port=proxy.port,
        user=account.user,
        password=account.password,
        database=SCHEMA,
        cursorclass=pymysql.cursors.SSCursor,
    )
    cursor = connection.cursor()
    query = (
        f"SELECT seq, CONCAT('text ', seq % {TEXTS}) AS t, "
        f"{LABEL.name}(CONCAT('text ', seq % {TEXTS}),'en'), "
        f"{CONFIDENCE.name}(CONCAT('text ', seq % {TEXTS}),'en') FROM seq_1_to_{{}}"
    )
    cursor.execute(query.format(10_000))
    cursor.fetchall()
    before = peak_kib(proxy.pid)
    answers = {f"text {i}": expected(f"text {i}", "en") for i in range(TEXTS)}
    cursor.execute(query.format(ROWS))
    count = 0
    while rows := cursor.fetchmany(10_000):
        for number, text, label, confidence in rows:
            count += 1
            answer = answers[text]
            assert number == count
            assert label == answer.label
            assert confidence == answer.confidence
    connection.close()
    assert count == ROWS
    assert len(fake.calls()) == 2 * TEXTS / 25
    assert peak_kib(proxy.pid) - before < MAY_GROW_KIB
