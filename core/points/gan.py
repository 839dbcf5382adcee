"""The live 2-D GAN: a request trains one or two networks for some steps and yields what the page draws.

Pausing keeps the state in the result; playing on is a new request that holds this state, so any learning setting may
be changed in between: a collapsed GAN can be cured on the spot.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from core.errors import BadRequest, Unavailable
from core.pipeline import Control
from core.points import data
from core.points.game import DIVERSITY, LOSSES, Game, g_loss
from core.request import Request, choice, flag, integer, number, seed_field, text
from core.result import PointsResult, Result, Step

PRETRAINED = Path(__file__).resolve().parents[2] / "assets" / "points" / "gan.safetensors"
ACTIONS = ("both", "discriminator", "generator", "slow motion")
SPEEDS = {"slow": (3, 0.2), "medium": (15, 0.2), "full": (40, 0.0)}  # steps a frame, least seconds a frame
SHAPE = ("data", "word", "points", "latent", "width_g", "width_d", "depth", "diversity", "pack", "seed")
RIVAL_FIELDS = (
    "loss",
    "lr_g",
    "lr_d",
    "beta1",
    "d_steps",
    "g_steps",
    "batch",
    "latent",
    "width_g",
    "width_d",
    "depth",
    "r1",
    "gp",
    "spectral",
    "diversity",
    "pack",
    "average",
)


@dataclass(frozen=True)
class GanRequest(Request):
    """Train a GAN on points of the plane. `rival` holds (name, value) pairs that differ in a second GAN beside it.

    state, rival_state: what an earlier result kept in extras["states"]; empty starts anew. Raises BadRequest.
    """

    PIPELINE: ClassVar[str] = "core.points.gan"

    data: str = choice(
        "ring", data.SETS, help="What the generator must learn to imitate; “own”: points that you draw, type or upload."
    )
    word: str = text("GAN", 6, help="Up to six characters for the data set of letters.")
    points: tuple = ()
    loss: str = choice("non-saturating", LOSSES, help="What discriminator and generator minimise.")
    lr_g: float = number(0.002, 0.0, 0.05, step=0.0005, help="Adam's step size for the generator.")
    lr_d: float = number(0.002, 0.0, 0.05, step=0.0005, help="Adam's step size for the discriminator.")
    beta1: float = number(0.5, 0.0, 0.95, help="Momentum of Adam. Above 0.5 the two players tend to circle.")
    d_steps: int = integer(1, 1, 10, help="Updates of the discriminator for each update of the generator.")
    g_steps: int = integer(1, 1, 10, help="Updates of the generator for each update of the discriminator.")
    batch: int = integer(128, 16, 512, step=16, help="Real points, and fakes, in each update.")
    latent: int = integer(2, 1, 16, help="Dimensions of the noise z.")
    width_g: int = integer(64, 4, 128, step=4, help="Units in each hidden layer of the generator.")
    width_d: int = integer(64, 4, 128, step=4, help="Units in each hidden layer of the discriminator.")
    depth: int = integer(2, 1, 4, help="Hidden layers of both networks.")
    r1: float = number(0.1, 0.0, 20.0, help="Weight of R1: punishes a steep discriminator at real points.")
    gp: float = number(1.0, 0.0, 20.0, help="Weight of the gradient penalty (Wasserstein loss only).")
    spectral: bool = flag(False, help="Spectral norm: no layer of the discriminator may stretch its input.")
    diversity: str = choice("none", DIVERSITY, help="Let the discriminator see several points at once.")
    pack: int = integer(2, 2, 8, help="Points in a pack (PacGAN only).")
    average: float = number(0.0, 0.0, 0.999, step=0.001, help="Show a moving average of the generator's weights.")
    seed: int = seed_field()
    steps: int = integer(1000, 1, 20000, help="Training steps until the run rests.")
    speed: str = choice("full", SPEEDS, help="Training steps between two pictures.")
    action: str = choice("both", ACTIONS, help="Who moves: both players, one of them, or both in slow motion.")
    start: str = choice("scratch", ("scratch", "pretrained"), help="Fresh networks, or ones trained beforehand.")
    take: int = integer(0, 0, 2**31, help="Which attempt: changes nothing, but runs anew what was run before.")
    rival: tuple = ()
    state: bytes = b""
    rival_state: bytes = b""

    def check(self) -> None:
        """Raise BadRequest for own points that are no pairs, and for a rival with unknown fields."""
        if (
            not isinstance(self.points, tuple)
            or len(self.points) > data.MOST_POINTS
            or any(len(p) != 2 or not all(isinstance(c, (int, float)) and abs(c) <= 10 for c in p) for p in self.points)
        ):
            raise BadRequest("points must be at most 5,000 pairs x,y, each between -10 and 10.")
        if unknown := [k for k, _ in self.rival if k not in RIVAL_FIELDS]:
            raise BadRequest(
                f"The second GAN cannot have its own {unknown[0]}; it may differ in {', '.join(RIVAL_FIELDS)}."
            )

    def second(self) -> GanRequest | None:
        """The settings of the GAN beside this one, or None."""
        return self.replace(rival=(), state=self.rival_state, **dict(self.rival)) if self.rival else None

    def work(self) -> float:
        """Steps of training, for the estimate of time."""
        return float(self.steps * (2 if self.rival else 1))


@lru_cache(maxsize=1)
def _pretrained() -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    if not PRETRAINED.exists():
        raise Unavailable("The pretrained 2-D GANs are missing; restore assets/points with `git checkout`.")
    return load_file(PRETRAINED)


def begin(settings: GanRequest) -> Game:
    """A game in the state that the settings ask for."""
    game = Game(settings)
    if settings.state:
        game.thaw(settings.state)
    elif settings.start == "pretrained":
        held = _pretrained()
        name = settings.data
        if f"{name}.g" not in held:
            raise BadRequest("There is no pretrained GAN for your own points: start from scratch.")
        if held[f"{name}.g"].size != game.g.count or held[f"{name}.d"].size != len(game.d.flat):
            raise BadRequest(
                "The pretrained GANs have latent size 2, two layers of 64 units and no packs: "
                "choose these, or start from scratch."
            )
        game.g.flat[:], game.d.flat[:] = held[f"{name}.g"], held[f"{name}.d"]
        game.mean[:] = game.g.flat
        for _ in range(10):
            game.d.power_step()
    return game


def generate(request: GanRequest, control: Control) -> Iterator[Step | Result]:
    """Train, yield a Step with data["games"] for each frame, and last a PointsResult with the states in extras."""
    started = time.perf_counter()
    games = [begin(request)]
    if (second := request.second()) is not None:
        games.append(begin(second))
    before, spent, done = games[0].steps, 0.0, 0
    yield _frame(games, "generate", 0, request.steps)
    if request.action == "slow motion":
        yield from _slow(games, control)
        done = games[0].steps - before
    else:
        per_frame, least = SPEEDS[request.speed]
        frame = time.perf_counter()
        for done in range(1, request.steps + 1):
            now = time.perf_counter()
            for game in games:
                game.step(request.action)
            spent += time.perf_counter() - now
            if control.finishing or done == request.steps:
                break
            if done % per_frame == 0:
                yield _frame(games, "generate", done, request.steps)
                time.sleep(max(0.0, least - (time.perf_counter() - frame)))
                frame = time.perf_counter()
    last = _frame(games, "generate", done, request.steps)
    yield last
    z = games[0].noise(data.MOST_POINTS, np.random.default_rng([request.seed, 4]))
    yield PointsResult(
        request=request,
        steps_run=done,
        seconds=time.perf_counter() - started,
        points=games[0].fakes(z),
        model_calls=done * (request.d_steps + request.g_steps),
        extras={
            "games": last.data["games"],
            "states": [game.freeze() for game in games],
            "steps_a_second": done * len(games) / spent if spent else 0.0,
        },
    )


def _frame(games: list[Game], phase: str, index: int, total: int, note: str = "", **more: Any) -> Step:
    return Step(
        phase,
        index,
        total,
        note=note,
        data={"games": [game.record() | {k: v[i] for k, v in more.items()} for i, game in enumerate(games)]},
    )


def _slow(games: list[Game], control: Control, pause: float = 1.5) -> Iterator[Step]:
    """One full round, a named part at a time."""
    a = games[0]
    parts: list[tuple[str, Any]] = [
        ("Draw real points and noise z; G turns z into fakes.", None),
        *[
            (f"D learns ({i + 1} of {a.s.d_steps}): its surface rises at real points, sinks at fakes.", Game.step_d)
            for i in range(a.s.d_steps)
        ],
        ("Arrows: where D's slope pulls each fake. G sees the data only through them.", None),
        *[
            (f"G learns ({i + 1} of {a.s.g_steps}): its weights move so that its fakes follow the arrows.", Game.step_g)
            for i in range(a.s.g_steps)
        ],
        ("Round done. The fakes have moved, so D is out of date again.", None),
    ]
    for index, (note, move) in enumerate(parts, 1):
        for game in games:
            if move:
                move(game)
            game.steps += index == len(parts)
        yield _frame(games, "generate", index, len(parts), note)
        end = time.perf_counter() + pause
        while time.perf_counter() < end and not control.finishing:
            time.sleep(0.05)
        if control.finishing:
            return


__all__ = ["GanRequest", "begin", "g_loss", "generate"]
