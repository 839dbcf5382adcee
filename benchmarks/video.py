"""One clip of 16 frames with guidance, model loaded: python -m benchmarks.video [--runs 3]

Budget on two cores: 8 s for the clip and 1 s to the first preview.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

from benchmarks.common import record, table

CLIP, PREVIEW = 8.0, 1.0


def once(request: object, model: object) -> tuple[float, float]:
    """Seconds to the first preview and to the clip, as the page's job draws them."""
    from core.pipeline import Control
    from core.result import Step
    from core.video.sample import VideoRequest, generate

    assert isinstance(request, VideoRequest)
    began, first = time.perf_counter(), 0.0
    for item in generate(request, Control(), model):
        if isinstance(item, Step) and item.preview is not None:
            first = first or time.perf_counter() - began
    return first, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    import torch

    from core.runtime.models import lease
    from core.video.sample import VideoRequest

    torch.set_num_threads(int(os.environ.get("LAB_THREADS", "1")))
    with lease("video-dit") as (model,):
        once(VideoRequest(num_inference_steps=1), model)
        times = [once(VideoRequest(seed=i), model) for i in range(args.runs)]
    rows = [
        [name, f"{statistics.median(t[i] for t in times):.2f} s", f"{limit:.0f} s"]
        for i, (name, limit) in enumerate((("first preview", PREVIEW), ("16 frames, guidance, 8 steps", CLIP)))
    ]
    record("Video", table(["video-dit, model loaded", f"median of {args.runs}", "allowed"], rows))


if __name__ == "__main__":
    main()
