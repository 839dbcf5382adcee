"""Clips for the video models, drawn from the scripts of core.video.scenes.

python -m training.video_data            # a sheet of 15 clips with captions in runs/video_data/
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
        scene = scenes.random_scene(rng, "train", mixed(rng))
        pictures[i] = scenes.render(scene, 1, start=int(rng.integers(scenes.FRAMES)))[0]
    return pictures


def mixed(rng: np.random.Generator) -> str:
    """A kind of scene, seven in ten with one object."""
    return str(rng.choice(scenes.KINDS, p=(0.7, 0.18, 0.12)))


def scene_list(split: str, count: int, seed: int, kind: str = "one") -> list[Scene]:
    """`count` scenes of "train" or "heldout" combinations, of a kind or "mixed"; the same seed gives the same scenes."""
    rng = np.random.default_rng(seed)
    return [scenes.random_scene(rng, split, mixed(rng) if kind == "mixed" else kind) for _ in range(count)]


def main() -> None:
    from training.loop import save_sheet

    folder = Path("runs/video_data")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    chosen = [s for kind in scenes.KINDS for s in scene_list("train", 5, 0, kind)]
    save_sheet(np.concatenate([scenes.render(scene)[::2] for scene in chosen]), folder / "sheet.png", columns=8)
    for scene in chosen:
        print(scenes.caption(scene, rng, drop=0.1), scene)


if __name__ == "__main__":
    main()
