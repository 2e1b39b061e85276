"""A saver's representation in a notebook."""

from __future__ import annotations

from langgraph_checkpoint_s3 import S3Config, S3Saver, Stats
from langgraph_checkpoint_s3.notebook import saver_table
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver


def test_where_it_is_what_is_set_and_what_it_did() -> None:
    fake = FakeS3()
    saver = make_saver(fake, prefix="agents/", max_attempts=7)
    put_chain(saver, "1", 2)
    before = saver.stats()
    shown = saver._repr_html_()
    assert saver.stats() == before
    assert shown.startswith("<table><caption>S3Saver</caption>")
    assert f'<tr><th scope="row">bucket</th><td>{saver.config.bucket}</td></tr>' in shown
    assert '<th scope="row">prefix</th><td>agents/</td>' in shown
    assert '<th scope="row">max_attempts</th><td>7</td>' in shown
    assert "read_timeout" not in shown
    assert f'<th scope="row">bytes stored</th><td>{before.bytes_stored:,}</td>' in shown


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
    shown = saver_table("S3Saver", S3Config(bucket="bucket"), stats)
    assert '<th scope="row">operations</th><td>2 get_tuple, 1,200 put</td>' in shown
    assert '<th scope="row">cache hits</th><td>3</td>' in shown
    assert '<th scope="row">circuit</th><td>open</td>' in shown
    assert "retries" not in shown
