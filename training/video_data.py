"""Clips for the video models, drawn from the scripts of core.video.scenes.

python -m training.video_data            # a sheet of 12 clips with captions in runs/video_data/
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.video import scenes
from core.video.scenes import Scene


def single_frames(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 48, 48, 3) uint8: one frame of each of `count` clips, for the codec."""
    pictures = np.empty((count, scenes.SIZE, scenes.SIZE, 3), np.uint8)
    for i in range(count):
        scene = scenes.random_scene(rng, "train")
        path = scenes.trajectory(scene)[rng.integers(scenes.FRAMES)][None]  # (1, 3)
        alpha = scenes.coverage(scene.shape, path)[0, ..., None]
        color = np.array(scenes.COLORS[scene.color], dtype=np.float32)
        pictures[i] = np.rint(scenes.backdrop(scene.background) * (1 - alpha) + color * alpha)
    return pictures


def scene_list(split: str, count: int, seed: int) -> list[Scene]:
    """`count` scenes of "train" or "heldout" combinations; the same seed gives the same scenes."""
    rng = np.random.default_rng(seed)
    return [scenes.random_scene(rng, split) for _ in range(count)]


def main() -> None:
    from training.loop import save_sheet

    folder = Path("runs/video_data")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    chosen = scene_list("train", 12, seed=0)
    save_sheet(np.concatenate([scenes.render(scene)[::2] for scene in chosen]), folder / "sheet.png", columns=8)
    for scene in chosen:
        print(scenes.caption(scene, rng, drop=0.1), scene)


if __name__ == "__main__":
    main()
