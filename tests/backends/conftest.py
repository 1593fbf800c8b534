"""An AWS environment of the tests' own: no test sees the developer's credentials."""

import os
import time

import pytest

from aurora_ml_proxy import config
from aurora_ml_proxy.backends.comprehend import Comprehend
from aurora_ml_proxy.backends.fake import FakeComprehend


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


@pytest.fixture
async def fake():
    async with FakeComprehend() as fake:
        yield fake


@pytest.fixture
async def comprehend(fake):
    """Makes backends that ask the fake; closes them."""
    made = []

    def make(concurrency=4, clock=time.monotonic, **settings):
        settings = {"endpoint_url": fake.url, "timeout_s": 10.0, **settings}
        backend = Comprehend(
            config.Comprehend(**settings),
            concurrency=concurrency,
            clock=clock,
        )
        made.append(backend)
        return backend

    yield make
    # A test may end with calls under way: let them end, so that nothing is left open.
    fake.release()
    await fake.wait_until_idle()
    for backend in made:
        await backend.close()
