"""Measure the video models with the tracker on held-out combinations, beside real clips and the codec.

python -m training.measure_video real                  # the tracker's ceiling
python -m training.measure_video codec                 # real clips through the codec and back
python -m training.measure_video video-dit             # 64 held-out prompts
python -m training.measure_video video-dit-frames
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from core.pipeline import Control
from core.result import VideoResult
from core.video import coherence, scenes
from core.video.dit import VideoModel, read
from core.video.sample import VideoRequest, generate, to_frames, to_pixels
from training import video_data


class Unwatched(Control):
    """Draws no previews."""

    watched = False


def clip_of(
    what: str, scene: scenes.Scene, seed: int, model: VideoModel | None, guidance: float, steps: int
) -> np.ndarray:
    """(16, 48, 48, 3) uint8."""
    import torch

    if what in ("real", "codec") or model is None:
        frames = scenes.render(scene)
        if what == "codec" and model is not None:
            with torch.inference_mode():
                frames = to_frames(model.decode(model.encode(to_pixels(frames))))
        return frames
    request = VideoRequest(
        model=what, prompt=scenes.caption(scene), seed=seed, guidance_scale=guidance, num_inference_steps=steps
    )
    last = None
    for item in generate(request, Unwatched(), model):
        last = item
    assert isinstance(last, VideoResult)
    return last.frames


def measure(what: str, clips: int, guidance: float, steps: int, start: int = 1000) -> dict[str, float]:
    """Shares right (of those that apply) and mean coherence over `clips` held-out scenes."""
    folder = Path("assets/models") / ("video-dit" if what == "codec" else what)
    model = None if what == "real" else read(folder)
    right: dict[str, list[bool]] = {}
    means: dict[str, list[float]] = {}
    began = time.process_time()
    for i, scene in enumerate(video_data.scene_list("heldout", clips, seed=start)):
        found = coherence.measure(clip_of(what, scene, start + i, model, guidance, steps))
        for name, good in coherence.same(found["track"], scene).items():
            right.setdefault(name, []).append(good)
        right.setdefault("identity", []).append(found["identity"])
        for name in ("flicker", "warping error", "jerk", "colour kept", "shape kept"):
            means.setdefault(name.replace(" ", "_"), []).append(found[name])
    figures = {name: round(float(np.mean(values)), 3) for name, values in right.items()}
    figures |= {name: round(float(np.nanmean(values)), 3) for name, values in means.items()}
    return figures | {"clips": clips, "cpu_seconds_a_clip": round((time.process_time() - began) / clips, 2)}


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["real", "codec", "video-dit", "video-dit-frames"])
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--guidance", type=float, default=2.5)
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(measure(args.what, args.clips, args.guidance, args.steps)))


if __name__ == "__main__":
    main()
