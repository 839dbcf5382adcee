"""Keyframes and what lies between them: interpolate, double the frame rate, go on beyond the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.video import between, scenes
from core.video.between import FilmRequest
from ui import controls, tables
from ui import video_views as views
from ui.stage import stage
from ui.video_inside import segments, slider

TASKS = {
    "keyframes": "keyframes, then between",
    "fill": "between keyframes",
    "double": "twice the frame rate",
    "extend": "longer",
}
WORDS = {
    "keyframes": "A small network draws frames 0, 5, 10 and 15 from the words alone; another moves their pixels across the gaps.",
    "fill": "Only frames 0, 5, 10 and 15 of the film are given; blending and repetition get the same four.",
    "double": "Every frame is given and one is made between each two, from the pixels of both.",
    "extend": "The last 8 frames are given and 8 more are made; then the window slides on. It no longer knows the words, "
    "and what it makes is its own next beginning, so errors add up.",
}


def draw(result: Any) -> None:
    """One of the four tasks on the clip of the stage or on a drawn scene, beside what is simpler, measured."""
    task = segments("Task", list(TASKS), "task", TASKS)
    st.caption(WORDS[task])
    base = result.request
    film, drawn = result.frames, False
    if task != "keyframes":
        drawn = segments("Film", ["this clip", "a drawn scene"], "between_film") == "a drawn scene"
        if drawn:
            index = slider("Scene", 0, 99, 7, "between_scene", "A clip drawn by script: the truth is known.")
            scene = scenes.random_scene(np.random.default_rng(index), "heldout")
            st.caption(f"real data · {scenes.caption(scene)}")
            film = scenes.render(scene)
    length = slider("Frames in the end", 24, 64, 32, "length") if task == "extend" else 32
    request = controls.build(
        FilmRequest,
        task=task,
        prompt=base.prompt if not drawn else "",
        seed=base.seed,
        num_inference_steps=base.num_inference_steps,
        guidance_scale=base.guidance_scale,
        clip=b"" if task == "keyframes" else film.tobytes(),
        frames=(length + 7) // 8 * 8,
    )
    made = stage(request, lambda r: _show(r, film), key="between", preview=views.preview)
    if made is None or made.request.task != task or not made.complete:
        return
    if task == "fill" and len(film) == len(made.frames):
        _against(made.frames, film, between.KEYS)
    elif task in ("keyframes", "extend"):
        views.figures([("this clip", result.frames), (TASKS[task], made.frames)])


def _show(made: Any, film: np.ndarray) -> None:
    """The film made, beside the simple ways where there are any, and its frames with the given ones framed."""
    task = made.request.task
    given = tuple(made.extras["known"]) if task != "extend" else ()
    if task == "fill":
        films = [("given film", film[:16])] if len(film) >= 16 else []
        films += [("network", made.frames)]
        films += [("blending", between.blend(film[:16], given)), ("repetition", between.repeat(film[:16], given))]
        views.beside(films, made.fps)
    elif task == "double":
        wide = np.repeat(film, 2, axis=0)[: len(made.frames)]
        views.beside([("as it was", wide), ("twice the rate", made.frames)], made.fps)
    else:
        views.player(made.frames, made.fps, "the film made", width=360)
    marked = made.frames.copy()
    for i in made.extras["known"]:
        marked[i, [0, -1]] = marked[i][:, [0, -1]] = (230, 159, 0)
    views.contact(marked)
    st.caption("Framed in orange: given. The others were made.")


def _against(made: np.ndarray, truth: np.ndarray, known: tuple[int, ...]) -> None:
    """PSNR and motion error of the frames that were not given."""
    hidden = [i for i in range(len(truth)) if i not in known]
    films = {"network": made, "blending": between.blend(truth, known), "repetition": between.repeat(truth, known)}
    tables.table(
        [
            {
                "film": name,
                "PSNR of the hidden frames (dB)": round(between.psnr(film[hidden], truth[hidden]), 1),
                "object off by (pixels)": round(between.motion_error(film[hidden], truth[hidden]), 2),
            }
            for name, film in films.items()
        ]
    )
    st.caption(
        "Against the film whose frames were hidden. Higher PSNR is nearer; a moved ghost costs more than a blur."
    )
