"""A multilayer perceptron with hand-written gradients.

At 64 units a layer, autograd costs more than the arithmetic: these few numpy lines take 2 ms for a whole GAN step.
Leaky ReLU is piecewise linear, so the gradient of a gradient penalty is exact with the slopes held fixed.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

SLOPE = 0.2  # of leaky ReLU below zero


class Mlp:
    """Fully connected layers with leaky ReLU between them; all weights are views into one flat vector.

    sizes: units of each layer, input first. spectral: divide each weight by its largest singular value
    (https://arxiv.org/abs/1802.05957). last_active: apply the non-linearity after the last layer too.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        rng: np.random.Generator,
        flat: np.ndarray | None = None,
        spectral: bool = False,
        last_active: bool = False,
    ) -> None:
        self.sizes, self.spectral, self.last_active = sizes, spectral, last_active
        self.count = sum(a * b + b for a, b in pairwise(sizes))
        self.flat = np.zeros(self.count, np.float32) if flat is None else flat
        self.grad = np.zeros_like(self.flat)
        self.w, self.b = self._views(self.flat)
        self.dw, self.db = self._views(self.grad)
        for w in self.w:  # He initialisation, (in, out)
            w[:] = rng.standard_normal(w.shape) * np.sqrt(2.0 / w.shape[0])
        self.u = [rng.standard_normal((w.shape[1],)).astype(np.float32) for w in self.w]
        self.sigma = [1.0] * len(self.w)
        if spectral:
            for _ in range(10):
                self.power_step()

    def _views(self, flat: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        weights, biases, at = [], [], 0
        for a, b in pairwise(self.sizes):
            weights.append(flat[at : at + a * b].reshape(a, b))
            biases.append(flat[at + a * b : at + a * b + b])
            at += a * b + b
        return weights, biases

    def power_step(self) -> None:
        """One power iteration a layer: sigma follows the largest singular value while the weights move."""
        for i, w in enumerate(self.w):
            v = w @ self.u[i]
            v /= np.linalg.norm(v) + 1e-12
            u = v @ w
            self.sigma[i] = float(np.linalg.norm(u)) + 1e-12
            self.u[i] = u / self.sigma[i]

    def _weight(self, i: int) -> np.ndarray:
        return self.w[i] / np.float32(self.sigma[i]) if self.spectral else self.w[i]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, list]:
        """x (N, in) -> output (N, out) and what `backward` needs."""
        kept, last = [], len(self.w) - 1
        for i in range(last + 1):
            weight = self._weight(i)
            z = x @ weight
            z += self.b[i]
            slope = None
            if i < last or self.last_active:
                slope = (z > 0).astype(np.float32)  # the fastest of five ways measured
                slope *= 1 - SLOPE
                slope += SLOPE
                z *= slope
            kept.append((x, weight, slope))
            x = z
        return x, kept

    def backward(self, kept: list, dout: np.ndarray, need_x: bool = True, add: bool = True) -> np.ndarray:
        """dout (N, out) -> gradient at the input (N, in); adds to `grad` unless add is False."""
        d = dout
        for i in range(len(kept) - 1, -1, -1):
            x, weight, slope = kept[i]
            if slope is not None:
                d = d * slope
            if add:
                self._add(i, x.T @ d)
                self.db[i] += d.sum(0)
            if i or need_x:
                d = d @ weight.T
        return d

    def _add(self, i: int, dw: np.ndarray) -> None:
        if self.spectral:  # d(W / sigma) = dW / sigma - W <v u^T, dW> / sigma^2
            sigma = np.float32(self.sigma[i])
            v = self.w[i] @ self.u[i] / sigma
            dw = (dw - np.outer(v, self.u[i]) * ((dw * self.w[i]).sum() / sigma)) / sigma
        self.dw[i] += dw

    def input_gradient(self, x: np.ndarray) -> tuple[np.ndarray, list]:
        """Gradient of the (single) output at each x (N, in), and what `penalty_backward` needs."""
        _, kept = self.forward(x)
        g, chain = np.ones((len(x), 1), np.float32), []
        for i in range(len(kept) - 1, -1, -1):
            _, weight, slope = kept[i]
            if slope is not None:
                g = g * slope
            chain.append((i, g, weight, slope))
            g = g @ weight.T
        return g, chain

    def penalty_backward(self, chain: list, dg: np.ndarray) -> None:
        """Add the weight gradients of a penalty on the input gradient; dg (N, in) is d penalty / d gradient."""
        d = dg
        for i, g, weight, slope in reversed(chain):
            self._add(i, d.T @ g)
            d = d @ weight
            if slope is not None:
                d = d * slope


class Adam:
    """Adam on one flat vector (https://arxiv.org/abs/1412.6980)."""

    def __init__(self, count: int, beta1: float, beta2: float) -> None:
        self.m, self.v, self.t = np.zeros(count, np.float32), np.zeros(count, np.float32), 0
        self.beta1, self.beta2 = beta1, beta2

    def step(self, flat: np.ndarray, grad: np.ndarray, lr: float) -> None:
        """Move `flat` against `grad` in place."""
        self.t += 1
        self.m *= self.beta1
        self.m += (1 - self.beta1) * grad
        self.v *= self.beta2
        self.v += (1 - self.beta2) * grad * grad
        scale = lr * np.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t)
        flat -= scale * self.m / (np.sqrt(self.v) + 1e-8)
