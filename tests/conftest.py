"""Rules for the whole suite: no network, and nothing skips but for a missing extra, a GPU or a user-built adapter."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from framework import registry
from framework.config.folders import config_folders

os.environ.setdefault("HF_HUB_OFFLINE", "1")
ALLOWED_SKIP = re.compile(r"extra '\w+'|GPU|adapter '\w+'")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Turn a skip for any other reason into a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not ALLOWED_SKIP.search(reason):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} skips without naming an extra, a GPU or an adapter: {reason}"
    return report


@pytest.fixture(autouse=True, scope="module")
def own_registry() -> Iterator[None]:
    """What a test module registers is gone after it: no test depends on which ran before."""
    yield
    registry.default_registry.cache_clear()
    config_folders.cache_clear()
