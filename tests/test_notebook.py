"""A saver's representation in a notebook."""

from __future__ import annotations

from datetime import datetime, timezone

from langgraph_checkpoint_s3 import S3Config, S3Saver, Stats
from langgraph_checkpoint_s3.admin import CheckReport, ClassUsage, Finding, UsageReport
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

TD = '<td style="text-align:left">'


def test_where_it_is_what_is_set_and_what_it_did() -> None:
    fake = FakeS3()
    saver = make_saver(fake, prefix="agents/", max_attempts=7)
    put_chain(saver, "1", 2)
    before = saver.stats()
    shown = saver._repr_html_()
    assert saver.stats() == before
    assert shown.startswith("<table><caption>S3Saver</caption>")
    assert f'<tr><th scope="row">bucket</th>{TD}{saver.config.bucket}</td></tr>' in shown
    assert f'<th scope="row">prefix</th>{TD}agents/</td>' in shown
    assert f'<th scope="row">max_attempts</th>{TD}7</td>' in shown
    assert "read_timeout" not in shown
    assert f'<th scope="row">bytes stored</th>{TD}{before.bytes_stored} B</td>' in shown


def test_a_saver_that_did_nothing_needs_no_credentials() -> None:
    with S3Saver("bucket", endpoint_url="http://localhost:1/<b>") as saver:
        shown = saver._repr_html_()
    assert "http://localhost:1/&lt;b&gt;" in shown
    assert "operations" not in shown


def test_settings_are_text() -> None:
    with S3Saver("bucket", endpoint_url="http://localhost:1/<script>alert(1)</script>'\"&") as saver:
        shown = saver._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


def test_what_was_done_is_counted() -> None:
    stats = Stats(operations={"put": 1200, "get_tuple": 2}, cache_hits=3, circuit="open")
    shown = stats._repr_html_()
    assert f'<th scope="row">operations</th>{TD}2 get_tuple, 1,200 put</td>' in shown
    assert f'<th scope="row">cache hits</th>{TD}3</td>' in shown
    assert f'<th scope="row">circuit</th>{TD}open</td>' in shown
    assert "retries" not in shown


def test_settings_without_account_numbers_and_values_of_tags() -> None:
    config = S3Config(
        bucket="arn:aws:s3:us-east-1:123456789012:accesspoint/mine",
        region="us-east-1",
        server_side_encryption="aws:kms",
        kms_key_id="arn:aws:kms:us-east-1:123456789012:key/1234abcd",
        expected_bucket_owner="123456789012",
        object_tags={"team": "payments"},
        borrow=False,
    )
    shown = config._repr_html_()
    assert shown.startswith("<table><caption>S3Config</caption>")
    assert "1234abcd" in shown
    assert f'<th scope="row">object_tags</th>{TD}team</td>' in shown
    assert f'<th scope="row">borrow</th>{TD}False</td>' in shown
    for hidden in ("123456789012", "payments", "read_timeout"):
        assert hidden not in shown


def test_a_check() -> None:
    findings = (Finding("bucket", "ok", "It is there"), Finding("<b>", "missing", "No & no", "Set <it>"))
    shown = CheckReport("s3://bucket/", findings)._repr_html_()
    assert "<caption>s3://bucket/: a saver can NOT work here (1 ok, 1 missing)</caption>" in shown
    assert '<td style="text-align:left;color:#1a7f45">ok</td>' in shown
    assert "&lt;b&gt;" in shown
    assert "No &amp; no" in shown
    assert "Set &lt;it&gt;" in shown


def test_usage() -> None:
    when = datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc)
    used = {"STANDARD": ClassUsage(3, 1_500_000, 1_500_000), "<X>": ClassUsage(1, 1, 1)}
    shown = UsageReport(1200, 2, 3, 4, 1_500_001, when, when, used, 2_000)._repr_html_()
    for name, value in {
        "threads": "1,200",
        "stored": "1.5 MB",
        "STANDARD": "1.5 MB in 3 objects",
        "&lt;X&gt;": "1 B in 1 object",
        "exports": "2.0 kB",
        "oldest": "2026-01-02 03:04 UTC",
    }.items():
        assert f'<th scope="row">{name}</th>{TD}{value}</td>' in shown
    assert "us-east-1" not in shown
    known = UsageReport(1, 1, 1, 1, 1, when, when, {"STANDARD": ClassUsage(1, 2**30, 2**30)}, 0)
    assert "$0.02" in known._repr_html_()
