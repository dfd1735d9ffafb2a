"""`client.stats`: the statistics for programs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.support.sandbox_api import TOKEN, sandbox_api
from uploader import Client
from uploader.errors import PermissionDenied, UsageError
from uploader.sandbox.seeds import FIRST_ITEM

pytestmark = pytest.mark.anyio
ITEM = FIRST_ITEM + 3


async def test_numbers_of_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        sandbox_api(tmp_path / "s", seed_items=200, institution=True) as api,
        Client(TOKEN, endpoint=api.at.url, state_dir=tmp_path / "state") as client,
    ):
        for none in (None, ""):
            if none is not None:
                monkeypatch.setenv("FIGSHARE_STATS_ENDPOINT", none)
            with pytest.raises(UsageError, match="no statistics service is known"):
                await client.stats.totals(ITEM)
        monkeypatch.setenv("FIGSHARE_STATS_ENDPOINT", api.at.stats_url)
        totals = await client.stats.totals(ITEM)
        monthly = await client.stats.timeline(ITEM, since="2000-01-01")
        assert monthly == await client.stats.timeline(ITEM, since=date(2000, 1, 1))
        assert sum(monthly.values()) == totals.views
        assert sum(country.total for country in await client.stats.places(ITEM, since=date(2000, 1, 1))) == totals.views
        assert (await client.stats.top(count=3))[0][1] >= (totals.views or 0)
        assert (await client.stats.count(2101))[2101] > 0
        portal = client.stats.portal("sandbox")
        assert await portal.totals(ITEM) == totals
        with pytest.raises(PermissionDenied, match="need a name and a password"):
            await portal.top()
        assert not any(entry["authorization"] for entry in api.requests() if entry["service"] == "statistics")
