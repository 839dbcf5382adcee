"""Scenes, captions and the tracker: what is drawn is what is measured."""

import numpy as np
import pytest

from core.video import coherence, scenes, tracker

VOCABULARY = set(scenes.vocabulary())


@pytest.mark.parametrize("motion", scenes.MOTIONS)
def test_every_motion_is_drawn_inside_the_picture_and_read_back(motion):
    for i, (shape, background) in enumerate(zip(scenes.SHAPES[:4], scenes.BACKGROUNDS, strict=True)):
        scene = scenes.Scene(
            shape, list(scenes.COLORS)[i], motion, background, size="big", speed="fast", x=0.3, y=0.6, phase=0.2
        )
        path = scenes.trajectory(scene)
        assert (path[:, :2] - path[:, 2:] > 0).all() and (path[:, :2] + path[:, 2:] < scenes.SIZE).all()
        found = tracker.track(scenes.render(scene))
        assert (found.shape, found.color, found.motion, found.background) == scene.combination()
        # the centre is found to within half a pixel (a growing object's to within one)
        assert np.abs(found.path[:, :2] - path[:, :2]).max() < 1.0


def test_the_tracker_reads_held_out_scenes():
    rng = np.random.default_rng(11)
    right = []
    for _ in range(25):
        scene = scenes.random_scene(rng, "heldout")
        right += coherence.same(tracker.track(scenes.render(scene)), scene).values()
    assert np.mean(right) >= 0.98


def test_an_empty_film_has_no_object():
    frames = np.repeat(np.rint(scenes.backdrop("sea")).astype(np.uint8)[None], 16, axis=0)
    found = tracker.track(frames)
    assert found.background == "sea" and found.seen == 0 and found.motion == "" and found.color == ""
    assert not coherence.kept(found)


def test_the_box_renderer_equals_drawing_the_whole_frame():
    scene = scenes.Scene("star", "red", "circle", "snow", phase=0.4)
    alpha = scenes.coverage(scene.shape, scenes.trajectory(scene))[..., None]
    whole = scenes.backdrop("snow") * (1 - alpha) + np.array(scenes.COLORS["red"]) * alpha
    assert np.abs(scenes.render(scene) - whole).max() <= 1.0


def test_no_training_clip_shows_a_held_out_combination():
    rng = np.random.default_rng(0)
    train = {scenes.random_scene(rng, "train").combination() for _ in range(300)}
    held = {scenes.random_scene(rng, "heldout").combination() for _ in range(100)}
    assert not train & held


def test_captions_say_what_is_drawn_in_known_words():
    rng = np.random.default_rng(5)
    for _ in range(200):
        scene = scenes.random_scene(rng, "any")
        words = scenes.caption(scene, rng)
        assert set(words.split()) <= VOCABULARY
        wanted = dict(zip(("shape", "color", "motion", "background"), scene.combination(), strict=True))
        assert coherence.asked(words) == wanted, words


def test_coherence_tells_a_steady_film_from_a_shuffled_one():
    film = scenes.render(scenes.Scene("square", "blue", "right", "snow"))
    steady = coherence.measure(film)
    mixed = coherence.measure(film[np.random.default_rng(1).permutation(len(film))])
    assert steady["flicker"] == 0 and steady["identity"]
    assert mixed["jerk"] > 5 * steady["jerk"] + 1


def test_a_fall_accelerates_and_a_line_does_not():
    fall = coherence.measure(scenes.render(scenes.Scene("circle", "red", "fall", "night")))
    line = coherence.measure(scenes.render(scenes.Scene("circle", "red", "down", "night")))
    assert fall["acceleration"] == pytest.approx(0.222, abs=0.03)
    assert abs(line["acceleration"]) < 0.02


@pytest.mark.parametrize("kind", ["two", "camera"])
def test_two_objects_and_the_camera_are_read_back(kind):
    rng = np.random.default_rng(3)
    for _ in range(5):
        scene = scenes.random_scene(rng, "any", kind)
        path = scenes.paths(scene)
        assert (path[..., :2] - path[..., 2:] > 0).all() and (path[..., :2] + path[..., 2:] < scenes.SIZE).all()
        found = coherence.measure(scenes.render(scene))
        assert all(coherence.same(found["track"], scene, found).values()), scenes.caption(scene)
        assert (found["second"] is not None) == (kind == "two") and bool(found["camera"]) == (kind == "camera")
        words = scenes.caption(scene, rng).split()
        assert len(words) <= 16 and set(scenes.roles(words)) <= VOCABULARY


def test_a_collision_hands_the_velocity_over():
    scene = scenes.Scene("circle", "red", "right", "snow", shape2="square", color2="blue", meeting="hit")
    x = scenes.paths(scene)[:, :, 0]
    speed = np.diff(x, axis=1)
    assert speed[0, 0] == pytest.approx(speed[1, -1]) and speed[0, -1] == speed[1, 0] == 0
    swapped = coherence.measure(scenes.render(scene)[::-1])
    assert swapped["meeting"] == "hit" and swapped["track"].color == "blue"  # backwards the other one moves first


def test_words_of_the_second_object_and_of_the_camera_are_words_of_their_own():
    told = scenes.roles(
        [
            "a",
            "red",
            "star",
            "moves",
            "right",
            "in",
            "front",
            "of",
            "a",
            "red",
            "ring",
            "in",
            "the",
            "snow",
            "the",
            "camera",
            "zooms",
            "in",
        ]
    )
    assert told[1:3] == ["red", "star"] and told[9:11] == ["red/2", "ring/2"]
    assert told[11] == "in" and told[-1] == "in/camera"
