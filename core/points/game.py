"""Two players on a plane: a generator and a discriminator with their updates, as in the papers, in numpy.

A run that was paused, frozen and thawed goes on exactly as the run that was not.
"""

from __future__ import annotations

import json
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np

from core.errors import BadRequest
from core.points import data, measure
from core.points.net import Adam, Mlp

LOSSES = ("minimax", "non-saturating", "least squares", "hinge", "Wasserstein", "relativistic")
DIVERSITY = ("none", "PacGAN", "minibatch discrimination")
KERNELS, KERNEL_SIZE, GROUP = 4, 3, 32  # minibatch discrimination (https://arxiv.org/abs/1606.03498), in groups of 32
SURFACE, MANIFOLD, SHOWN, ARROWS, MEASURED = 41, 17, 300, 70, 1000
COLUMNS = (
    "step",
    "loss_d",
    "loss_g",
    "grad_g",
    "score_real",
    "score_fake",
    "kl",
    "js",
    "wasserstein",
    "mmd",
    "modes",
    "near",
    "pull",
)
LATTICE = np.stack(np.meshgrid(*[np.linspace(-data.EXTENT, data.EXTENT, SURFACE)] * 2), -1).reshape(-1, 2)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x)) without overflow."""
    return np.logaddexp(0, x)


def d_loss(name: str, real: np.ndarray, fake: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Discriminator's loss on logits (N, 1), and its gradients at the real and the fake logits, over N."""
    n = len(real)
    if name in ("minimax", "non-saturating"):  # https://arxiv.org/abs/1406.2661
        return float((softplus(-real) + softplus(fake)).mean()), -sigmoid(-real) / n, sigmoid(fake) / n
    if name == "least squares":  # https://arxiv.org/abs/1611.04076
        return float(((real - 1) ** 2 + fake**2).mean() / 2), (real - 1) / n, fake / n
    if name == "hinge":  # https://arxiv.org/abs/1705.02894
        return (
            float((np.maximum(0, 1 - real) + np.maximum(0, 1 + fake)).mean()),
            -(real < 1).astype(np.float32) / n,
            (fake > -1).astype(np.float32) / n,
        )
    if name == "Wasserstein":  # https://arxiv.org/abs/1704.00028
        ones = np.ones_like(real) / n
        return float((fake - real).mean()), -ones, ones
    slope = sigmoid(fake - real) / n  # relativistic pairing, https://arxiv.org/abs/2501.05441
    return float(softplus(fake - real).mean()), -slope, slope


def g_loss(name: str, fake: np.ndarray, real: np.ndarray) -> tuple[float, np.ndarray]:
    """Generator's loss on the fakes' logits (N, 1) and its gradient there, over N."""
    n = len(fake)
    if name == "minimax":
        return float(-softplus(fake).mean()), -sigmoid(fake) / n  # log(1 - D): flat where D is sure
    if name == "non-saturating":
        return float(softplus(-fake).mean()), -sigmoid(-fake) / n
    if name == "least squares":
        return float(((fake - 1) ** 2).mean() / 2), (fake - 1) / n
    if name in ("hinge", "Wasserstein"):
        return float(-fake.mean()), -np.ones_like(fake) / n
    return float(softplus(real - fake).mean()), -sigmoid(real - fake) / n


class Critic:
    """The discriminator: points in packs of `pack` (PacGAN, https://arxiv.org/abs/1712.04086) to one logit a pack."""

    def __init__(
        self, width: int, depth: int, pack: int, spectral: bool, minibatch: bool, rng: np.random.Generator
    ) -> None:
        self.pack, self.minibatch = pack, minibatch
        hidden = (width,) * depth
        if not minibatch:
            self.body = Mlp((2 * pack, *hidden, 1), rng, spectral=spectral)
            self.flat, self.grad = self.body.flat, self.body.grad
            return
        body_sizes, head_sizes = (2 * pack, *hidden), (width + KERNELS, 1)
        count = [sum(a * b + b for a, b in pairwise(s)) for s in (body_sizes, head_sizes)]
        self.flat = np.zeros(sum(count) + width * KERNELS * KERNEL_SIZE, np.float32)
        self.body = Mlp(body_sizes, rng, self.flat[: count[0]], spectral, last_active=True)
        self.head = Mlp(head_sizes, rng, self.flat[count[0] : sum(count)], spectral)
        self.tensor = self.flat[sum(count) :].reshape(width, -1)  # (H, K * S)
        self.tensor[:] = rng.standard_normal(self.tensor.shape) * 0.3 / np.sqrt(width)
        self.grad = np.zeros_like(self.flat)
        for net, part in ((self.body, self.grad[: count[0]]), (self.head, self.grad[count[0] : sum(count)])):
            net.grad = part
            net.dw, net.db = net._views(part)
        self.dtensor = self.grad[sum(count) :].reshape(width, -1)

    def power_step(self) -> None:
        """Refresh the spectral norms."""
        self.body.power_step()
        if self.minibatch:
            self.head.power_step()

    def forward(self, points: np.ndarray) -> tuple[np.ndarray, Any]:
        """points (N, 2) -> logits (N / pack, 1)."""
        h, kept = self.body.forward(points.reshape(-1, 2 * self.pack))
        if not self.minibatch:
            return h, kept
        m = (h @ self.tensor).reshape(-1, GROUP, KERNELS, KERNEL_SIZE)  # (B, G, K, S)
        gap = m[:, :, None] - m[:, None]  # (B, G, G, K, S)
        close = np.exp(-np.abs(gap).sum(4))  # (B, G, G, K)
        near = (close.sum(2) - 1).reshape(-1, KERNELS)  # (N, K)
        logit, kept_head = self.head.forward(np.concatenate([h, near], 1))
        return logit, (kept, h, np.sign(gap), close, kept_head)

    def backward(self, kept: Any, dlogit: np.ndarray, need_x: bool = True, add: bool = True) -> np.ndarray:
        """Gradient at the points (N, 2); adds to `grad` unless add is False."""
        if not self.minibatch:
            return self.body.backward(kept, dlogit, need_x, add).reshape(-1, 2)
        kept, h, sign, close, kept_head = kept
        both = self.head.backward(kept_head, dlogit, add=add)
        dh, dnear = both[:, : h.shape[1]], both[:, h.shape[1] :]
        dnear = dnear.reshape(-1, GROUP, KERNELS)
        pull = -(dnear[:, :, None] + dnear[:, None]) * close  # (B, G, G, K)
        dm = (pull[..., None] * sign).sum(2).reshape(len(h), -1)
        if add:
            self.dtensor += h.T @ dm
        return self.body.backward(kept, dh + dm @ self.tensor.T, need_x, add).reshape(-1, 2)

    def score(self, points: np.ndarray, companions: np.ndarray) -> np.ndarray:
        """Logit of each single point (M, 2) -> (M,); packs and batches are filled with companions (N, 2)."""
        if self.minibatch:
            h, _ = self.body.forward(points)
            other, _ = self.body.forward(companions)
            m, o = (h @ self.tensor)[:, None], (other @ self.tensor)[None]
            near = np.exp(-np.abs(m - o).reshape(len(h), len(other), KERNELS, -1).sum(3)).mean(1) * (GROUP - 1)
            return self.head.forward(np.concatenate([h, near.astype(np.float32)], 1))[0][:, 0]
        total = np.zeros(len(points), np.float32)
        rounds = 1 if self.pack == 1 else 4
        for r in range(rounds):
            rest = np.roll(companions, -r * 7, 0)[: self.pack - 1].reshape(1, -1).repeat(len(points), 0)
            total += self.body.forward(np.concatenate([points, rest], 1).astype(np.float32))[0][:, 0]
        return total / rounds


class Game:
    """One GAN in training. `settings` is any object with the fields of `core.points.gan.GanRequest`."""

    def __init__(self, settings: Any) -> None:
        s = self.s = settings
        rng = np.random.default_rng([s.seed, 1])
        self.pack = s.pack if s.diversity == "PacGAN" else 1
        self.minibatch = s.diversity == "minibatch discrimination"
        if self.minibatch and (s.r1 > 0 or s.loss == "Wasserstein"):
            raise BadRequest("Minibatch discrimination has no gradient penalty here: choose PacGAN, or set R1 to 0.")
        whole = GROUP if self.minibatch else self.pack
        self.batch = max(whole, s.batch // whole * whole)
        self.g = Mlp((s.latent, *(s.width_g,) * s.depth, 2), rng)
        self.g.w[-1] *= 0.3  # the sheet of noise starts small, in the middle
        self.d = Critic(s.width_d, s.depth, self.pack, s.spectral, self.minibatch, rng)
        self.adam_g = Adam(self.g.count, s.beta1, 0.99)
        self.adam_d = Adam(len(self.d.flat), s.beta1, 0.99)
        self.mean = self.g.flat.copy()  # moving average of G's weights
        self.steps, self.rng = 0, np.random.default_rng([s.seed, 2])  # its state travels with the networks
        self.history: list[list[float]] = []
        self.last = {"loss_d": 0.0, "loss_g": 0.0, "grad_g": 0.0, "score_real": 0.0, "score_fake": 0.0}
        self.anchors, self.radius = data.anchors(s.data, s.word, s.points)

    def real(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Real points (count, 2)."""
        return data.sample(self.s.data, count, rng, self.s.word, self.s.points)

    def noise(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Latent vectors (count, latent), standard normal."""
        return rng.standard_normal((count, self.s.latent)).astype(np.float32)

    def step_d(self) -> None:
        """One update of the discriminator, penalties included."""
        s, rng = self.s, self.rng
        real, z = self.real(self.batch, rng), self.noise(self.batch, rng)
        fake, _ = self.g.forward(z)
        self.d.grad[:] = 0
        if s.spectral:
            self.d.power_step()
        logit, kept = self.d.forward(np.concatenate([real, fake]))
        logit_r, logit_f = np.split(logit, 2)
        loss, dr, df = d_loss(s.loss, logit_r, logit_f)
        self.d.backward(kept, np.concatenate([dr, df]).astype(np.float32), need_x=False)
        if s.r1 > 0:  # gamma/2 E|grad D(real)|^2, https://arxiv.org/abs/1801.04406
            self._penalty(real, lambda g, n: s.r1 * g / n)
        if s.loss == "Wasserstein" and s.gp > 0:
            mix = rng.random((len(real) // self.pack, 1, 1)).astype(np.float32)
            between = mix * real.reshape(-1, self.pack, 2) + (1 - mix) * fake.reshape(-1, self.pack, 2)

            def one_lipschitz(g: np.ndarray, n: int) -> np.ndarray:
                norm = np.linalg.norm(g, axis=1, keepdims=True) + 1e-8
                return 2 * s.gp * (norm - 1) * g / norm / n

            self._penalty(between.reshape(-1, 2), one_lipschitz)
        self.adam_d.step(self.d.flat, self.d.grad, s.lr_d)
        self.last.update(loss_d=loss, score_real=float(logit_r.mean()), score_fake=float(logit_f.mean()))

    def _penalty(self, points: np.ndarray, slope: Any) -> None:
        body = self.d.body
        g, chain = body.input_gradient(points.reshape(-1, 2 * self.pack))
        body.penalty_backward(chain, slope(g, len(g)).astype(np.float32))

    def step_g(self) -> None:
        """One update of the generator."""
        s, rng = self.s, self.rng
        real, z = self.real(self.batch, rng), self.noise(self.batch, rng)
        fake, kept = self.g.forward(z)
        logit, kept_d = self.d.forward(fake)
        rival = self.d.forward(real)[0] if s.loss == "relativistic" else logit
        loss, dlogit = g_loss(s.loss, logit, rival)
        self.g.grad[:] = 0
        self.g.backward(kept, self.d.backward(kept_d, dlogit.astype(np.float32), add=False), need_x=False)
        self.adam_g.step(self.g.flat, self.g.grad, s.lr_g)
        self.mean += (1 - s.average) * (self.g.flat - self.mean)
        self.last.update(loss_g=loss, grad_g=float(np.sqrt((self.g.grad**2).sum())))

    def step(self, action: str = "both") -> None:
        """One round: d_steps updates of D, then g_steps of G; or one update of a single player."""
        for _ in range({"both": self.s.d_steps, "discriminator": 1}.get(action, 0)):
            self.step_d()
        for _ in range({"both": self.s.g_steps, "generator": 1}.get(action, 0)):
            self.step_g()
        self.steps += 1
        if not np.isfinite(self.g.flat).all() or not np.isfinite(self.d.flat).all():
            raise BadRequest("The training ran off to infinity: lower the learning rates and reset.")

    def fakes(self, z: np.ndarray) -> np.ndarray:
        """Points of the averaged generator (of the plain one without averaging): z (N, latent) -> (N, 2)."""
        if self.s.average == 0:
            return self.g.forward(z)[0]
        now = self.g.flat.copy()
        self.g.flat[:] = self.mean
        made = self.g.forward(z)[0]
        self.g.flat[:] = now
        return made

    def record(self, remember: bool = True) -> dict[str, Any]:
        """All that a view shows, as plain arrays: points, surface (S, S), manifold (M, M, 2), arrows (A, 4), history."""
        rng = np.random.default_rng([self.s.seed, 3])  # the same noise each frame: motion, no flicker
        real, z = self.real(MEASURED, rng), self.noise(MEASURED, rng)
        fake = self.fakes(z)
        now, kept = self.d.forward(fake[: self.batch])
        pull = -self.d.backward(kept, g_loss(self.s.loss, now, now)[1].astype(np.float32), add=False) * len(now)
        if remember and (not self.history or self.history[-1][0] != self.steps):
            kl, js = measure.divergences(real, fake)
            modes, near = measure.modes_covered(fake, self.anchors, self.radius)
            self.history.append(
                [
                    self.steps,
                    *(self.last[k] for k in COLUMNS[1:6]),
                    kl,
                    js,
                    measure.sliced_wasserstein(real, fake),
                    measure.mmd(real[:250], fake[:250]),
                    modes,
                    near,
                    float(np.median(np.linalg.norm(pull, axis=1))),
                ]
            )
        logit = self.d.score(LATTICE.astype(np.float32), fake[: self.batch])
        return {
            "step": self.steps,
            "real": real[:SHOWN],
            "fake": fake[:SHOWN],
            "surface": logit.reshape(SURFACE, SURFACE),
            "probability": self.s.loss != "Wasserstein",
            "manifold": self.fakes(latent_grid(self.s.latent)).reshape(MANIFOLD, MANIFOLD, 2),
            "arrows": np.concatenate([fake[: self.batch], pull], 1)[:ARROWS],
            "anchors": len(self.anchors),
            "history": np.array(self.history, np.float32).reshape(-1, len(COLUMNS)),
        }

    def freeze(self) -> bytes:
        """The whole state as safetensors bytes (no pickle)."""
        from safetensors.numpy import save

        tensors = {
            "g": self.g.flat,
            "d": self.d.flat,
            "mean": self.mean,
            "gm": self.adam_g.m,
            "gv": self.adam_g.v,
            "dm": self.adam_d.m,
            "dv": self.adam_d.v,
            "history": np.array(self.history[-2000:], np.float32).reshape(-1, len(COLUMNS)),
        }
        nets = [self.d.body, *([self.d.head] if self.minibatch else [])]
        tensors |= {f"u{n}.{i}": u for n, net in enumerate(nets) for i, u in enumerate(net.u)}
        tensors |= {f"sigma{n}": np.array(net.sigma) for n, net in enumerate(nets)}
        count = json.dumps([self.steps, self.adam_g.t, self.adam_d.t, self.rng.bit_generator.state])
        return save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, {"count": count})

    def thaw(self, state: bytes) -> None:
        """Continue from `freeze`; the learning settings may differ, the networks' shapes may not."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            held = load(state)
            size = int.from_bytes(state[:8], "little")
            count = json.loads(json.loads(state[8 : 8 + size])["__metadata__"]["count"])
            for name, target in (
                ("g", self.g.flat),
                ("d", self.d.flat),
                ("mean", self.mean),
                ("gm", self.adam_g.m),
                ("gv", self.adam_g.v),
                ("dm", self.adam_d.m),
                ("dv", self.adam_d.v),
            ):
                target[:] = held[name]
            nets = [self.d.body, *([self.d.head] if self.minibatch else [])]
            for n, net in enumerate(nets):
                net.u = [held[f"u{n}.{i}"] for i in range(len(net.u))]
                net.sigma = held[f"sigma{n}"].tolist()
                for _ in range(10 * (net.spectral and set(net.sigma) == {1.0})):  # switched on just now
                    net.power_step()
        except (SafetensorError, KeyError, ValueError) as error:
            raise BadRequest("The networks' shape was changed: reset to start the new shape.") from error
        self.history = held["history"].tolist()
        self.steps, self.adam_g.t, self.adam_d.t = (int(n) for n in count[:3])
        self.rng.bit_generator.state = count[3]


def latent_grid(latent: int) -> np.ndarray:
    """A grid of equal probability mass over the first two latent dimensions: (M * M, latent)."""
    line = [NormalDist().inv_cdf(p) for p in np.linspace(0.02, 0.98, MANIFOLD)]
    z = np.zeros((MANIFOLD * MANIFOLD, latent), np.float32)
    if latent == 1:
        z[:, 0] = [NormalDist().inv_cdf(p) for p in np.linspace(0.005, 0.995, MANIFOLD * MANIFOLD)]
        return z
    z[:, :2] = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    return z
