from __future__ import annotations

import pickle

import pytest

from mag7.settings import SANDBOX_BUCKET, SettingInvalidError, SettingMissingError, list_removed, read_settings

SANDBOX = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
AWS = {"MAG7_BUCKET": "b", "MAG7_BUCKET_OWNER": "123456789012", "MAG7_COPY_ROLE": "arn:aws:iam::123456789012:role/r"}


def test_the_sandbox_needs_no_setting():
    settings = read_settings(SANDBOX)
    assert settings.bucket == SANDBOX_BUCKET
    assert settings.sandboxed


@pytest.mark.parametrize("missing", AWS)
def test_aws_needs_its_bucket_owner_and_role(missing: str):
    with pytest.raises(SettingMissingError, match=f"{missing} is not set"):
        read_settings({name: value for name, value in AWS.items() if name != missing})


def test_aws_with_everything_given():
    settings = read_settings({**AWS, "POLYGON_CALLS_PER_MINUTE": "5", "MAG7_THREADS": " 4 "})
    assert (settings.bucket, settings.sandboxed, settings.calls_per_minute, settings.threads) == ("b", False, 5.0, 4)


@pytest.mark.parametrize(
    ("given", "calls_per_minute"),
    [
        ({}, 5400.0),
        ({"POLYGON_PLAN": "paid"}, 5400.0),
        ({"POLYGON_PLAN": " free "}, 5.0),
        ({"POLYGON_PLAN": "free", "POLYGON_CALLS_PER_MINUTE": " "}, 5.0),
        ({"POLYGON_PLAN": "free", "POLYGON_CALLS_PER_MINUTE": "4.5"}, 4.5),
        ({"POLYGON_PLAN": "free", "POLYGON_CALLS_PER_MINUTE": "0"}, 0.0),
    ],
)
def test_a_plan_gives_its_limit_and_a_number_goes_before_it(given: dict[str, str], calls_per_minute: float):
    assert read_settings({**SANDBOX, **given}).calls_per_minute == calls_per_minute


def test_an_unknown_plan_is_answered_with_the_known_ones():
    with pytest.raises(SettingInvalidError, match="POLYGON_PLAN is 'starter', but must be one of free, paid"):
        read_settings({**SANDBOX, "POLYGON_PLAN": "starter", "POLYGON_CALLS_PER_MINUTE": "5"})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("MAG7_THREADS", "many"),
        ("MAG7_THREADS", "0"),
        ("POLYGON_TRIES", "0"),
        ("MAG7_BATCHES", "0"),
        ("MAG7_BATCHES", "101"),
        ("POLYGON_READ_TIMEOUT", "-1"),
        ("POLYGON_READ_TIMEOUT", "0"),
        ("POLYGON_CALLS_PER_MINUTE", "inf"),
        ("MAG7_POLYGON_SLOTS", "0"),
        ("MAG7_MINIMUM_CAP_PCT", "nan"),
        ("MAG7_MAXIMUM_COMPANY_PCT", "500"),
        ("MAG7_MINIMUM_MAG7_PCT", "70"),
        ("MAG7_MINIMUM_CAP_PCT", "99,5"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(variable: str, text: str):
    with pytest.raises(SettingInvalidError, match=f"{variable} is '{text}") as invalid:
        read_settings({**SANDBOX, variable: text})
    assert str(pickle.loads(pickle.dumps(invalid.value))) == str(invalid.value)  # noqa: S301 - our own bytes


@pytest.mark.parametrize("text", ["9" * 400, "9" * 5000])
def test_a_number_beyond_any_bound_is_refused_in_a_short_line(text: str):
    with pytest.raises(SettingInvalidError, match=r"POLYGON_TRIES is '9+\.\.\.'") as invalid:
        read_settings({**SANDBOX, "POLYGON_TRIES": text})
    assert len(str(invalid.value)) < 400


@pytest.mark.parametrize("text", ["a'; DROP TABLE x; --", 'a"b', "a\\b", "a\nb", "a\x00b", "\ud800"])
def test_a_text_that_could_end_a_quoted_one_is_refused(text: str):
    with pytest.raises(SettingInvalidError, match=r"MAG7_COPY_ROLE is .*without quotation marks"):
        read_settings({**SANDBOX, "MAG7_COPY_ROLE": text})


def test_a_removed_setting_that_is_still_set_is_named_with_what_to_do():
    assert list_removed(SANDBOX) == []
    assert list_removed({**SANDBOX, "MAG7_WORKER_HOSTS": " ", "MAG7_THREADS": "4"}) == []
    (hosts, folder) = list_removed({**SANDBOX, "MAG7_WORKER_HOSTS": "2", "MAG7_RATE_FOLDER": "/rate"})
    assert hosts.startswith("the environment variable MAG7_WORKER_HOSTS was removed, unset it")
    assert folder.startswith("the environment variable MAG7_RATE_FOLDER was removed, unset it")
    assert read_settings({**SANDBOX, "MAG7_WORKER_HOSTS": "yes"}) == read_settings(SANDBOX)
