"""A daemon for each test, which can be stopped and started again over the same data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from flockd import Flock
from flockd.api.keys import HUB, READS
from flockd.app import make_app
from flockd.config import Config
from tests.api.conftest import Api

LIMIT_SECONDS = 30.0
"""How long a test waits for what must come."""


class Served(Api):
    """A daemon that runs, and its client."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        super().__init__(client)
        self.app: Any = client.app

    async def stop(self) -> None:
        """End it as a signal would, after a look at its counts."""
        if not self.client.session.closed:
            verified = (await self.post("/api/v1/admin/verify")).ok()
            await self.client.close()
            assert verified["differences"] == []

    async def ended(self, correlation_id: str) -> None:
        """Returns when the latest round of this workflow is over, woken by the log."""
        with self.app[HUB].watch_end(correlation_id) as watch:
            correlation = await self.app[READS].correlation(correlation_id)
            if correlation.completed_at is None:
                assert await watch.ended(correlation.round, LIMIT_SECONDS) is not None


class Serve:
    """Starts daemons, all over one data folder: one after the other, please."""

    def __init__(self, aiohttp_client: AiohttpClient, config: Config) -> None:
        self._aiohttp_client = aiohttp_client
        self.config = config
        self.served: list[Served] = []

    async def __call__(self, flock: Flock) -> Served:
        served = Served(await self._aiohttp_client(make_app(self.config, flock)))
        self.served.append(served)
        return served


@pytest.fixture
def settings() -> dict[str, Any]:
    """What a test file sets otherwise; by section."""
    return {}


@pytest.fixture
def config(tmp_path: Path, settings: dict[str, Any]) -> Config:
    (tmp_path / "files").mkdir()
    return Config.model_validate(
        {
            "store": {"data_dir": tmp_path / "data"},
            "shutdown": {"grace_seconds": 0.1},
            "batch": {"dir": tmp_path / "files"},
            **settings,
        }
    )


@pytest.fixture
async def serve(aiohttp_client: AiohttpClient, config: Config) -> AsyncIterator[Serve]:
    serve = Serve(aiohttp_client, config)
    yield serve
    for served in serve.served:
        await served.stop()
