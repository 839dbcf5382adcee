"""The words of the video page: examples, tour, failures with their cures, questions."""

from __future__ import annotations

from ui.learn import Failure, Question
from ui.page import Scene

EXAMPLES = (
    "a big red star moves fast right at night",
    "a big yellow circle falls on grass",
    "a small purple triangle circles over the sea",
    "a blue ring grows in the snow",
    "a small red square bounces at night",
    "a big green circle moves slowly up left over the sea",
    "a yellow ring moves right in front of a green triangle at night",
    "a red circle moves left and hits a blue square in the snow",
)
TOUR = (
    Scene("A sentence becomes two seconds of film.", {"prompt": EXAMPLES[0], "model": "video-dit", "lens": "Frames"}),
    Scene("The film as the network sees it: cubes of space and time.", {"lens": "Patches"}),
    Scene("Where one patch looks, frame by frame.", {"lens": "Attention", "prompt": EXAMPLES[2]}),
    Scene("The same network that may not look at other times.", {"lens": "Side by side", "prompt": EXAMPLES[0]}),
    Scene("Four frames are given, the twelve between are made.", {"lens": "Between frames", "task": "fill"}),
)
FAILURES = (
    Failure(
        "Frame by frame",
        "Without temporal attention each pair of frames guesses its own place: the object jumps.",
        {"model": "video-dit-frames"},
        {"model": "video-dit"},
        "Attention over time",
    ),
    Failure(
        "Too few steps",
        "One step gives the average of all films that fit the words: a smear along the path.",
        {"num_inference_steps": 1},
        {"num_inference_steps": 8},
        "8 steps",
    ),
    Failure(
        "Too much guidance",
        "Far from the empty prompt the guess leaves what films look like: colours clip.",
        {"guidance_scale": 8.0},
        {"guidance_scale": 2.5},
        "Guidance 2.5",
    ),
    Failure(
        "Longer than it learnt",
        "It was trained on 16 frames; positions beyond them are new to it.",
        {"frames": 32},
        {"frames": 16},
        "16 frames",
    ),
)
QUESTIONS = (
    Question(
        "Blend two keyframes of a moving star: what is half way between them?",
        ("a star half way", "two half-faded stars", "a blurred streak"),
        "two half-faded stars",
        "Blending mixes colours, it moves nothing. A network that has learnt how things move puts one star between.",
        {"lens": "Between frames", "task": "fill"},
    ),
    Question(
        "Twice as many frames: how much more does attention cost?",
        ("twice", "four times", "eight times"),
        "four times",
        "Every token looks at every other: twice the tokens are four times the pairs. The linear parts only double.",
        {"lens": "Costs"},
    ),
    Question(
        "With temporal attention off, what still comes out right?",
        ("nothing", "colour and background", "a smooth path"),
        "colour and background",
        "The words reach every patch, so all frames agree on them; only place and time need neighbours.",
        {"lens": "Side by side"},
    ),
)
