"""`keep_last` over the wire, by both drivers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.front import Front
from tests.contract.support import MakeSaver, Place, at, checkpoint, guarded, metadata
from tests.plans.test_delta_channels import build, config


class TestKeepLast:
    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_a_put_leaves_the_latest(
        self, make_saver: MakeSaver, place: Place, front: Front, asynchronous: bool
    ) -> None:
        saver = make_saver(keep_last=2)
        put_at: Any = at()
        for step in range(4):
            held = checkpoint({"text": f"step {step}"})
            said, versions = metadata(step), held["channel_versions"]
            front.reset()
            if asynchronous:
                put_at = guarded(saver.aput(put_at, held, said, versions))
            else:
                put_at = saver.put(put_at, held, said, versions)
            saver.put_writes(put_at, [("text", "write")], "task")
        assert front.counts() == {"PutObject": 2, "ListObjectsV2": 1, "DeleteObjects": 1}
        assert [each.metadata["step"] for each in make_saver().list(at())] == [3, 2]
        assert len(place.listing()) == 4

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_a_graph_with_delta_channels(
        self, make_saver: MakeSaver, place: Place, asynchronous: bool
    ) -> None:
        graph, inputs = build(make_saver(keep_last=1), 1000), {"log": ["input"], "total": 0, "rounds": 2}
        run = graph.ainvoke(inputs, config()) if asynchronous else None
        ran = asyncio.run(run) if run else graph.invoke(inputs, config())
        assert build(make_saver(), 1000).get_state(config()).values == ran
        assert len(place.listing()) == 2
