"""Measure the video models with the tracker on held-out combinations, beside real clips and the codec.

python -m training.measure_video real                  # the tracker's ceiling
python -m training.measure_video codec                 # real clips through the codec and back
python -m training.measure_video video-dit             # 64 held-out prompts; also video-dit-frames, -factorised
python -m training.measure_video video-dit --scenes two     # two objects; also camera
python -m training.measure_video video-keyframes       # keyframes, then what lies between: the same prompts
python -m training.measure_video video-between         # held-out clips from every fifth and every second frame
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from core.pipeline import Control
from core.result import VideoResult
from core.video import between, coherence, scenes
from core.video.dit import VideoModel, read
from core.video.sample import VideoRequest, generate, to_frames, to_pixels
from training import video_data

MODELS = Path("assets/models")


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


def film_of(task: str, models: list[VideoModel], steps: int, **fields: Any) -> np.ndarray:
    """The frames of one FilmRequest."""
    request = between.FilmRequest(task=task, num_inference_steps=steps, **fields)
    *_, last = between.generate(request, Unwatched(), *models)
    assert isinstance(last, VideoResult)
    return last.frames


def measure_between(clips: int, steps: int, start: int = 1000) -> dict[str, float]:
    """PSNR (dB) and motion error (pixels) of the frames that were not given: network, blending, repetition."""
    model = read(MODELS / "video-between")
    sums: dict[str, list[float]] = {}
    for scene in video_data.scene_list("heldout", clips, seed=start):
        for task in ("fill", "double"):
            # halving the rate of the drawn clip leaves every second frame to be guessed
            truth = scenes.render(scene) if task == "fill" else scenes.render(scene, 15)
            known = between.KEYS if task == "fill" else tuple(range(0, 15, 2))
            asked = scenes.caption(scene) if task == "fill" else ""
            source = truth if task == "fill" else truth[::2]
            films = {
                "network": film_of(task, [model], steps, clip=source.tobytes(), prompt=asked),
                "blending": between.blend(truth, known),
                "repetition": between.repeat(truth, known),
            }
            hidden = [i for i in range(len(truth)) if i not in known]
            for name, film in films.items():
                sums.setdefault(f"{task}_psnr_{name}", []).append(between.psnr(film[hidden], truth[hidden]))
                sums.setdefault(f"{task}_motion_error_{name}", []).append(
                    between.motion_error(film[hidden], truth[hidden])
                )
    return {name: round(float(np.mean(values)), 2) for name, values in sums.items()} | {"clips": clips}


def measure(
    what: str, clips: int, guidance: float, steps: int, kind: str = "one", start: int = 1000
) -> dict[str, float]:
    """Shares right (of those that apply) and mean coherence over `clips` held-out scenes of a kind."""
    if what == "video-between":
        return measure_between(clips, steps, start)
    model = None if what == "real" else read(MODELS / ("video-dit" if what == "codec" else what))
    two = [read(MODELS / "video-between"), model] if what == "video-keyframes" and model else []
    right: dict[str, list[bool]] = {}
    means: dict[str, list[float]] = {}
    began = time.process_time()
    for i, scene in enumerate(video_data.scene_list("heldout", clips, start, kind)):
        if two:
            frames = film_of(
                "keyframes", two, steps, prompt=scenes.caption(scene), seed=start + i, guidance_scale=guidance
            )
        else:
            frames = clip_of(what, scene, start + i, model, guidance, steps)
        found = coherence.measure(frames)
        for name, good in coherence.same(found["track"], scene, found).items():
            right.setdefault(name.replace(" ", "_"), []).append(good)
        right.setdefault("identity", []).append(found["identity"])
        for name in ("flicker", "warping error", "jerk", "colour kept", "shape kept", "smoothness"):
            means.setdefault(name.replace(" ", "_"), []).append(found[name])
    figures = {name: round(float(np.mean(values)), 3) for name, values in right.items()}
    figures |= {name: round(float(np.nanmean(values)), 3) for name, values in means.items()}
    return figures | {"clips": clips, "cpu_seconds_a_clip": round((time.process_time() - began) / clips, 2)}


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["real", "codec", *sorted(f.name for f in MODELS.glob("video-*"))])
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--guidance", type=float, default=2.5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--scenes", choices=scenes.KINDS, default="one")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(measure(args.what, args.clips, args.guidance, args.steps, args.scenes)))


if __name__ == "__main__":
    main()
