"""Diffusion and flow matching on the plane, trained live; a GAN may train beside on the same data, seed and time.

One picture for both: x_t = alpha(t) x_0 + sigma(t) eps, data at t = 0, noise at t = 1, and an ordinary differential
equation dx/dt = alpha' x_0 + sigma' eps that carries noise to data. They differ in schedule and in what is predicted.

    diffusion       alpha = cos(pi t / 2), sigma = sin(pi t / 2)     epsilon, x0, v or score
    flow matching   alpha = 1 - t,         sigma = t                 velocity eps - x0 (rectified flow)
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from core.errors import BadRequest
from core.pipeline import Control
from core.points import data, measure
from core.points.game import Game
from core.points.gan import GanRequest
from core.points.net import Adam, Mlp
from core.request import Request, choice, flag, integer, number, seed_field, text
from core.result import PointsResult, Result, Step

TARGETS = ("epsilon", "x0", "v", "score")
SAMPLERS = ("Euler", "Heun", "ancestral")
ACTIONS = ("both", "one step", "reflow", "look")
SPEEDS = {"slow": (5, 0.2), "medium": (25, 0.2), "full": (60, 0.0)}  # steps a frame, least seconds a frame
COLUMNS = ("step", "loss", "kl", "js", "wasserstein", "mmd", "modes", "near", "bend")
FIRST, LAST = 0.005, 0.99  # times where training and sampling end: nothing is divided by zero
TIMES, FIELD, SHOWN, PATHS, PAIRS, GAN_EVERY = 9, 13, 300, 90, 4096, 2
SHAPE = ("data", "word", "points", "width", "depth", "seed", "method", "target", "beside")


@dataclass(frozen=True)
class FlowRequest(Request):
    """Train a diffusion or flow model on points. state: what an earlier result kept. Raises BadRequest."""

    PIPELINE: ClassVar[str] = "core.points.flow"

    data: str = choice("ring", data.SETS, help="What is to be learned; “own”: points that you draw, type or upload.")
    word: str = text("GAN", 6, help="Up to six characters for the data set of letters.")
    points: tuple = ()
    method: str = choice("flow matching", ("diffusion", "flow matching"), help="Schedule and what is predicted.")
    target: str = choice("epsilon", TARGETS, help="What the network predicts (diffusion only).")
    coupling: str = choice("independent", ("independent", "optimal transport"),
                           help="Which noise goes with which point in a batch (flow matching only).")  # fmt: skip
    lr: float = number(0.002, 0.0, 0.02, step=0.0005, help="Adam's step size.")
    batch: int = integer(256, 32, 512, step=32, help="Points in each update.")
    width: int = integer(96, 8, 128, step=8, help="Units in each hidden layer.")
    depth: int = integer(3, 1, 4, help="Hidden layers.")
    sampler: str = choice(
        "Euler", SAMPLERS, help="Euler and Heun solve the equation; ancestral adds noise at each step."
    )
    num_inference_steps: int = integer(20, 1, 60, help="Steps from noise to data.")
    beside: bool = flag(False, help="A GAN on the same data and seed, with about the same computing time.")
    seed: int = seed_field()
    steps: int = integer(1000, 1, 20000, help="Training steps until the run rests.")
    speed: str = choice("full", SPEEDS, help="Training steps between two pictures.")
    action: str = choice("both", ACTIONS, help="Train, train one step, make pairs for reflow, or only sample.")
    take: int = integer(0, 0, 2**31, help="Which attempt: changes nothing, but runs anew what was run before.")
    state: bytes = b""
    rival_state: bytes = b""

    def check(self) -> None:
        """Raise BadRequest for what no single field can see."""
        GanRequest(points=self.points)
        if self.action == "reflow" and self.method != "flow matching":
            raise BadRequest("Reflow straightens a flow: choose flow matching first.")

    def work(self) -> float:
        """Steps of training, for the estimate of time."""
        return float(self.steps)

    def gan(self) -> GanRequest:
        """The GAN that trains beside."""
        return GanRequest(data=self.data, word=self.word, points=self.points, seed=self.seed, loss="relativistic")


def schedule(method: str, t: Any) -> tuple[Any, Any, Any, Any]:
    """alpha, sigma and their derivatives at times t."""
    if method == "diffusion":
        a, s = np.cos(np.pi / 2 * t), np.sin(np.pi / 2 * t)
        return a, s, -np.pi / 2 * s, np.pi / 2 * a
    return 1 - t, t, -np.ones_like(t), np.ones_like(t)


class Model:
    """A network in training. `settings` has the fields of FlowRequest."""

    def __init__(self, settings: Any) -> None:
        s = self.s = settings
        self.target = s.target if s.method == "diffusion" else "velocity"
        self.net = Mlp((11, *(s.width,) * s.depth, 2), np.random.default_rng([s.seed, 1]))
        self.adam = Adam(self.net.count, 0.9, 0.999)
        self.mean = self.net.flat.copy()
        self.steps, self.round, self.loss = 0, 0, 0.0
        self.pairs = np.zeros((0, 4), np.float32)  # noise, data: of the last reflow
        self.rng = np.random.default_rng([s.seed, 2])
        self.history: list[list[float]] = []
        self.anchors, self.radius = data.anchors(s.data, s.word, s.points)

    def real(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Real points (count, 2)."""
        return data.sample(self.s.data, count, rng, self.s.word, self.s.points)

    def inputs(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """x (N, 2), t (N, 1) -> (N, 11): time as itself and as four waves."""
        wave = np.pi * t * np.array([1, 2, 4, 8])
        return np.concatenate([x, 2 * t - 1, np.sin(wave), np.cos(wave)], 1).astype(np.float32)

    def step(self) -> None:
        """One update on a batch of (x_0, eps, t)."""
        s, rng = self.s, self.rng
        t = rng.uniform(FIRST, LAST, (s.batch, 1))
        if len(self.pairs):
            row = self.pairs[rng.integers(len(self.pairs), size=s.batch)]
            noise, x0 = row[:, :2], row[:, 2:]
        else:
            x0, noise = self.real(s.batch, rng), rng.standard_normal((s.batch, 2))
            if s.method == "flow matching" and s.coupling == "optimal transport":
                noise = matched(x0, noise)
        a, sig, da, ds = schedule(s.method, t)
        x = a * x0 + sig * noise
        wanted = {
            "epsilon": noise,
            "x0": x0,
            "v": a * noise - sig * x0,
            "score": -noise,
            "velocity": da * x0 + ds * noise,
        }
        out, kept = self.net.forward(self.inputs(x, t))
        # The score is -eps / sigma; its squared error weighted by sigma^2 is that of sigma times the output.
        scale = sig if self.target == "score" else 1.0
        error = scale * out - wanted[self.target]
        self.loss = float((error**2).mean())
        self.net.grad[:] = 0
        self.net.backward(kept, (scale * error / s.batch).astype(np.float32), need_x=False)
        self.adam.step(self.net.flat, self.net.grad, s.lr)
        self.mean += 0.01 * (self.net.flat - self.mean)
        self.steps += 1
        if not np.isfinite(self.net.flat).all():
            raise BadRequest("The training ran off to infinity: lower the learning rate and reset.")

    def guess(self, x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
        """x_0 and eps that the averaged network sees in x (N, 2) at time t."""
        time_ = np.full((len(x), 1), t)
        now, self.net.flat[:] = self.net.flat.copy(), self.mean
        out = self.net.forward(self.inputs(x, time_))[0].astype(float)
        self.net.flat[:] = now
        a, s, _, _ = (float(v) for v in schedule(self.s.method, np.float64(t)))
        if self.target == "velocity":  # x = (1 - t) x0 + t eps, u = eps - x0
            return x - t * out, x + (1 - t) * out
        if self.target == "v":
            return a * x - s * out, s * x + a * out
        if self.target == "x0":
            return out, (x - a * out) / s
        noise = out if self.target == "epsilon" else -s * out
        return (x - s * noise) / a, noise

    def velocity(self, x: np.ndarray, t: float) -> np.ndarray:
        """dx/dt of the equation at x (N, 2)."""
        x0, noise = self.guess(x, t)
        _, _, da, ds = schedule(self.s.method, np.float64(t))
        return da * x0 + ds * noise

    def sample(self, noise: np.ndarray, sampler: str, steps: int, rng: np.random.Generator) -> np.ndarray:
        """Paths from noise (N, 2) to data: (N, steps + 1, 2)."""
        times = np.linspace(LAST, FIRST, steps + 1)
        x, path = noise.astype(float), [noise.astype(float)]
        for t, to in pairwise(times):
            if sampler == "ancestral":
                x0, _ = self.guess(x, t)
                (a, s, _, _), (b, r, _, _) = schedule(self.s.method, t), schedule(self.s.method, to)
                between = s**2 - (a / b) ** 2 * r**2
                x = (a / b) * r**2 / s**2 * x + b * between / s**2 * x0
                x = x + np.sqrt(max(0.0, between) * r**2 / s**2) * rng.standard_normal(x.shape)
            else:
                u = self.velocity(x, t)
                if sampler == "Heun":
                    u = (u + self.velocity(x + (to - t) * u, to)) / 2
                x = x + (to - t) * u
            path.append(x)
        return np.stack(path, 1).astype(np.float32)

    def reflow(self) -> None:
        """Make pairs (noise, where it ends); from now on these are learned: paths become straight (arXiv 2209.03003)."""
        noise = self.rng.standard_normal((PAIRS, 2))
        ends = self.sample(noise, "Heun", 20, self.rng)[:, -1]
        self.pairs = np.concatenate([noise, ends], 1).astype(np.float32)
        self.round += 1

    def record(self) -> dict[str, Any]:
        """All that a view shows: points, paths (P, T + 1, 2), field (TIMES, FIELD^2, 4), history."""
        s, rng = self.s, np.random.default_rng([self.s.seed, 3])
        real, noise = self.real(1000, rng), rng.standard_normal((1000, 2))
        paths = self.sample(noise, s.sampler, s.num_inference_steps, rng)
        fake = paths[:, -1]
        length = np.linalg.norm(np.diff(paths, axis=1), axis=2).sum(1)
        bend = float(np.median(length / (np.linalg.norm(paths[:, -1] - paths[:, 0], axis=1) + 1e-6)))
        kl, js = measure.divergences(real, fake)
        row = [self.steps, self.loss, kl, js, measure.sliced_wasserstein(real, fake), measure.mmd(real[:250], fake[:250]),
               *measure.modes_covered(fake, self.anchors, self.radius), bend]  # fmt: skip
        if self.history and self.history[-1][0] == self.steps:
            self.history[-1] = row
        else:
            self.history.append(row)
        axis = np.linspace(-2.75, 2.75, FIELD)
        grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        times = np.linspace(LAST, FIRST, TIMES)
        field = [np.concatenate([grid, -self.velocity(grid, t)], 1) for t in times]
        return {"step": self.steps, "real": real[:SHOWN], "paths": paths[:SHOWN], "field": np.stack(field).astype(np.float32),
                "anchors": len(self.anchors), "round": self.round,
                "history": np.array(self.history, np.float32).reshape(-1, len(COLUMNS))}  # fmt: skip

    def freeze(self) -> bytes:
        """The whole state as safetensors bytes."""
        from safetensors.numpy import save

        count = json.dumps([self.steps, self.adam.t, self.round, self.rng.bit_generator.state])
        return save({"net": self.net.flat, "mean": self.mean, "m": self.adam.m, "v": self.adam.v, "pairs": self.pairs,
                     "history": np.array(self.history[-2000:], np.float32).reshape(-1, len(COLUMNS))},
                    {"count": count})  # fmt: skip

    def thaw(self, state: bytes) -> None:
        """Continue from `freeze`. Raises BadRequest when the network's shape was changed."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            held = load(state)
            size = int.from_bytes(state[:8], "little")
            count = json.loads(json.loads(state[8 : 8 + size])["__metadata__"]["count"])
            for name, to in (("net", self.net.flat), ("mean", self.mean), ("m", self.adam.m), ("v", self.adam.v)):
                to[:] = held[name]
        except (SafetensorError, KeyError, ValueError) as error:
            raise BadRequest("The network's shape was changed: reset to start the new shape.") from error
        self.pairs, self.history = held["pairs"].copy(), held["history"].tolist()
        self.steps, self.adam.t, self.round = (int(n) for n in count[:3])
        self.rng.bit_generator.state = count[3]


def matched(x0: np.ndarray, noise: np.ndarray, group: int = 64) -> np.ndarray:
    """Noise reordered so that in each group of 64 the pairs lie as near as they can (arXiv 2302.00482)."""
    from scipy.optimize import linear_sum_assignment

    out = noise.copy()
    for i in range(0, len(x0), group):
        a, b = x0[i : i + group], noise[i : i + group]
        rows, columns = linear_sum_assignment(((a[:, None] - b[None]) ** 2).sum(2))
        out[i + rows] = b[columns]
    return out


def generate(request: FlowRequest, control: Control) -> Iterator[Step | Result]:
    """Train, yield a Step with data["games"] for each frame (the model, then the GAN), last a PointsResult."""
    started = time.perf_counter()
    model = Model(request)
    if request.state:
        model.thaw(request.state)
    game = Game(request.gan()) if request.beside else None
    if game is not None and request.rival_state:
        game.thaw(request.rival_state)
    spent, done, total = [0.0, 0.0], 0, request.steps

    def frame() -> Step:
        return Step("generate", done, total, data={"games": [model.record(), *([game.record()] if game else [])]})

    if request.action == "reflow":
        model.reflow()
    yield frame()
    if request.action in ("both", "one step"):
        per_frame, least = SPEEDS[request.speed]
        begun = time.perf_counter()
        for done in range(1, total + 1):
            now = time.perf_counter()
            model.step()
            middle = time.perf_counter()
            if game is not None and model.steps % GAN_EVERY == 0:  # a round of the GAN takes about twice as long
                game.step()
            spent = [spent[0] + middle - now, spent[1] + time.perf_counter() - middle]
            if control.finishing or done == total:
                break
            if done % per_frame == 0:
                yield frame()
                time.sleep(max(0.0, least - (time.perf_counter() - begun)))
                begun = time.perf_counter()
    last = frame()
    yield last
    rng = np.random.default_rng([request.seed, 4])
    points = model.sample(rng.standard_normal((2000, 2)), request.sampler, request.num_inference_steps, rng)[:, -1]
    yield PointsResult(
        request=request, steps_run=done, seconds=time.perf_counter() - started, points=points, model_calls=done,
        extras={"games": last.data["games"], "states": [model.freeze(), *([game.freeze()] if game else [])],
                "steps_a_second": done / spent[0] if spent[0] else 0.0, "spent": spent})  # fmt: skip


__all__ = ["FlowRequest", "Model", "generate"]
