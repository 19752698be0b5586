from __future__ import annotations

import pytest

from mag7.tasks import setup


def test_a_run_warns_once_of_settings_that_are_gone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(setup, "open_place", lambda: None)
    monkeypatch.setattr(setup, "list_gaps", lambda place: [])
    monkeypatch.setenv("MAG7_WORKER_HOSTS", "2")
    setup.require_setup()

    (warned,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warned.getMessage().startswith("the environment variable MAG7_WORKER_HOSTS was removed")
