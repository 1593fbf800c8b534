"""Clients that compress: they see what they see without the proxy, on a smaller wire.

The programs of the matrix run with $COMPRESS set. A relay between client and proxy counts
the bytes: that a client asked for compression proves nothing.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.clients import CLIENTS, Client
from support.proxies import Proxy
from support.servers import Server
from test_client_matrix import lines_seen, start_afresh, why_missing

pytestmark = pytest.mark.mysql

CAN_COMPRESS = {
    "mysqlclient": ("zlib",),
    "connector": ("zlib",),
    "connector-pure": ("zlib",),
    "odbc": ("zlib",),
    "node-mysql2": ("zlib",),
    "node-mariadb": ("zlib",),
    "java-mariadb": ("zlib",),
    "java-mysql": ("zlib",),
    "mariadb": ("zlib",),
    "mysql": ("zlib", "zstd"),
}
"""Those of the matrix that can, and how. PyMySQL, aiomysql, asyncmy and node's mysql
cannot."""


def compressed(name: str, algorithm: str) -> Client:
    client = CLIENTS[name]
    return replace(client, environment={**client.environment, "COMPRESS": algorithm})


def combinations():
    for name, algorithms in CAN_COMPRESS.items():
        for algorithm in algorithms:
            for kind in ("mariadb10", "mysql9"):
                if (algorithm, kind) != ("zstd", "mariadb10"):  # which has none
                    yield pytest.param(
                        name, algorithm, kind, id=f"{name}-{algorithm}-{kind}"
                    )


@pytest.mark.parametrize(("name", "algorithm", "kind"), list(combinations()))
def test_a_compressed_client_sees_the_same_straight_and_through_the_proxy(
    name: str,
    algorithm: str,
    kind: str,
    get_server: Callable[[str], Server],
    shared_proxy: Callable[[Server], Proxy],
) -> None:
    if reason := why_missing(name):
        pytest.skip(reason)
    server = get_server(kind)
    client = compressed(name, algorithm)
    tls, mode = kind == "mysql9", client.modes[-1]
    start_afresh(server)
    straight = lines_seen(client, mode, tls, server, server.port)
    start_afresh(server)
    proxied = lines_seen(client, mode, tls, server, shared_proxy(server).port)
    assert proxied == straight
    assert f"compression={algorithm}" in shared_proxy(server).log
