"""A thread's history over the wire, by both drivers, with its requests counted."""

from __future__ import annotations

from tests.contract.front import Front
from tests.contract.support import MakeCalls, MakeSaver, build_thread


class TestHistory:
    def test_the_history_of_a_thread(
        self, make_admin: MakeCalls, make_saver: MakeSaver, front: Front
    ) -> None:
        build_thread(make_saver(), "a", checkpoints=3)
        admin = make_admin()
        front.reset()
        found = admin.history("a")
        counts = front.counts()
        sizes = {each.checkpoint_id: each for each in admin.checkpoint_sizes("a")}
        assert len(found) == len(sizes)
        assert counts == {"ListObjectsV2": 3, "GetObject": sum(each.objects for each in sizes.values())}
        assert [each.bytes for each in found] == [sizes[each.checkpoint_id].bytes for each in found]
        assert [each.parent_id for each in found] == [*(each.checkpoint_id for each in found[1:]), None]
        last = admin.history("a", limit=2)
        assert (list(last), last.more, found.more) == (list(found[:2]), True, False)
        assert not admin.history("nobody")
