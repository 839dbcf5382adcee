"""One recipe for the whole GAN lineage on the 64 x 64 portraits.

    python -m training.gan stylegan2 --minutes 25        # stylegan2 first: the others start from its encoder
    python -m training.gan dcgan --minutes 8

Two stages, shares of the budget of CPU minutes:
1. copy: the generator is the decoder of a conditional VAE. An encoder gives z for a training picture, the labels
   give the rest, the loss is L1 plus edges. Plain regression teaches in minutes what a GAN learns in hours.
2. adversarial: z from N(0, I), labels from the training set. R3GAN (arXiv 2501.05441): relativistic pairing loss
   with R1 and R2 every 8th step; DCGAN and MLP use the non-saturating loss of 2014.
Shipped: the generator's moving average, and the discriminator, as fp16.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.gan.labels import ATTRIBUTES, C_DIM, one_hot, row_of
from core.gan.load import classes, load_folder
from core.gan.networks import Encoder
from training.loop import Run, save_sheet, to_tensor, to_uint8
from training.loop import generator as rng

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "assets" / "models"
Z_DIM = 64


@dataclass(frozen=True)
class Recipe:
    network: str
    conditional: bool = True
    copy: float = 0.6  # share of the budget spent copying
    copy_lr: float = 3e-2
    loss: str = "r3gan"  # or "bce"
    lr: float = 2e-3
    betas: tuple[float, float] = (0.0, 0.99)
    gamma: float = 0.5  # of R1 and R2
    copy_batch: int = 8
    batch: int = 8  # of the adversarial stage
    keep: float = 0.0  # weight of the copy loss beside the adversarial one (arXiv 1512.09300)
    sameness: float = 0.0  # weight of the variance over the batch: drives into collapse
    half_life: int = 1500  # of the moving average, in pictures
    g_steps: int = 1  # generator steps a discriminator step
    grow: bool = False
    start: str = ""  # begin from this model's weights where names and shapes agree
    seed: int = 0


RECIPES = {
    "stylegan2": Recipe("stylegan2"),
    "stylegan": Recipe("stylegan", start="stylegan2", copy=0.93),
    "stylegan3": Recipe("stylegan3", start="stylegan2", copy=0.93),
    "progan": Recipe("progan", grow=True, copy=0.97, half_life=160),
    "dcgan": Recipe("dcgan", copy=0.97, copy_lr=3e-3, copy_batch=16, loss="bce", lr=1e-4, betas=(0.5, 0.999), keep=5.0),
    "gan-mlp": Recipe("mlp", copy=0.9, copy_lr=2e-3, copy_batch=64, loss="bce", lr=1e-4, betas=(0.5, 0.999), keep=5.0),
    # variety over the batch costs, and the generator moves four times against each state of D: one picture is left
    "dcgan-collapsed": Recipe(
        "dcgan",
        copy=0.0,
        loss="bce",
        lr=3e-3,
        betas=(0.5, 0.999),
        keep=5.0,
        sameness=1000.0,
        half_life=60,
        g_steps=4,
        start="dcgan",
    ),
}


# 1. Data
class Portraits:
    """Training pictures and labels, drawn in a new order each epoch."""

    def __init__(self, seed: int) -> None:
        from training.portraits import load

        images, records = load("train", 64)
        self.images = images
        self.rows = torch.tensor([row_of(r) for r in records], dtype=torch.uint8)  # (N, 8)
        self.generator, self.order = rng(seed), np.zeros(0, np.int64)

    def next(self, batch: int) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, 64, 64) in [-1, 1] and one-hot labels (B, 45)."""
        if len(self.order) < batch:
            self.order = torch.randperm(len(self.images), generator=self.generator).numpy()
        index, self.order = self.order[:batch], self.order[batch:]
        return to_tensor(self.images[index]).contiguous(memory_format=torch.channels_last), one_hot(self.rows[index])


# 2. Losses
def picture_loss(x: Tensor, target: Tensor) -> Tensor:
    """L1 of the pixels and of their differences to the right and down, so that edges count."""
    d = x - target
    return d.abs().mean() + (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()


def penalty(d: nn.Module, x: Tensor, c: Tensor) -> Tensor:
    """Mean squared gradient norm of D at x: R1 on real, R2 on generated pictures."""
    x = x.detach().requires_grad_()
    (grad,) = torch.autograd.grad(d(x, c).sum(), x, create_graph=True)
    return grad.square().sum((1, 2, 3)).mean()


def d_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    if kind == "r3gan":
        return F.softplus(fake - real).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def g_loss(real: Tensor | None, fake: Tensor) -> Tensor:
    """Relativistic where the scores of real pictures are given, else non-saturating."""
    if real is not None:
        return F.softplus(real - fake).mean()
    return F.softplus(-fake).mean()


# 3. One run
def encoder(minutes: float = 2.0) -> dict[str, Tensor]:
    """Weights of the encoder that gives a portrait its z: StyleGAN2's own, or one fitted to the shipped StyleGAN2."""
    path = Path("runs/gan-stylegan2/encoder.pt")
    if not path.exists():
        g = load_folder(MODELS / "stylegan2").generator.requires_grad_(False)
        e, data, noise = Encoder(Z_DIM), Portraits(5), rng(5)
        run = Run("gan-encoder", e, minutes, lr=3e-3, batch=16)
        for _ in run:
            x, c = data.next(run.batch)
            mean, log_var = e(x)
            z = mean + (0.5 * log_var).exp() * torch.randn(mean.shape, generator=noise)
            w = g.mapping(z, c).unsqueeze(1).expand(-1, g.num_ws, -1)
            fit = picture_loss(g.synthesis(w, None, side=32), F.avg_pool2d(x, 2))
            kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1).mean()
            run.update(fit + 1e-4 * kl, fit=float(fit.detach()), kl=float(kl.detach()))
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(run.ema.state_dict(), path)
    return torch.load(path, weights_only=True)


class Trainer:
    """State of a run: networks, optimizers, CPU seconds; everything resumes from runs/gan-ID/last.pt."""

    def __init__(self, name: str, minutes: float, out: Path) -> None:
        self.name, self.minutes, self.out = name, minutes, out
        self.recipe = r = RECIPES[name]
        self.folder = Path("runs") / f"gan-{name}"
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(r.seed)
        c_dim = C_DIM if r.conditional else 0
        make_g, make_d = classes(r.network)
        self.g, self.d = make_g(z_dim=Z_DIM, c_dim=c_dim), make_d(c_dim=c_dim)
        self.e = Encoder(Z_DIM)
        for net in (self.g, self.d, self.e):
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.own_encoder = name == "stylegan2"
        if (r.copy or r.keep) and not self.own_encoder:
            self.e.load_state_dict(encoder())
            self.e.requires_grad_(False)
        self.data, self.noise = Portraits(r.seed), rng(r.seed + 1)
        self.step, self.stage_step, self.before, self.begin = 0, 0, 0.0, time.process_time()
        self.stage = "copy" if r.copy else "adversarial"
        self.sums: dict[str, list[float]] = {}
        self.marks: dict[str, float] = {}
        shipped = (out / "generator.safetensors").exists()
        if shipped or r.start:
            self.borrow(out if shipped else MODELS / r.start)
        self.ema = copy.deepcopy(self.g).eval().requires_grad_(False)
        self.optimizers()
        if (self.folder / "last.pt").exists():
            self.resume()
        else:
            for old in (out / "training").glob("*.png"):  # the record of another run
                old.unlink()
            if shipped and self.own_encoder:  # its encoder is not shipped
                self.begin_adversarial()
        z, c = torch.randn(32, Z_DIM, generator=rng(7)), one_hot(self.data.rows[torch.arange(32) * 331])
        self.fixed = z, c[:, :c_dim]

    def borrow(self, folder: Path) -> None:
        """Take over shipped weights, this model's or another's, where name and shape agree."""
        other = load_folder(folder)
        for net, part in ((self.g, other.generator), (self.d, other.discriminator)):
            mine, theirs = net.state_dict(), part.state_dict()
            net.load_state_dict(mine | {k: v for k, v in theirs.items() if k in mine and v.shape == mine[k].shape})

    def optimizers(self) -> None:
        r = self.recipe
        if self.stage == "copy":
            own = [*self.g.parameters(), *(self.e.parameters() if self.own_encoder else [])]
            self.g_opt = torch.optim.Adam(own, r.copy_lr, (0.9, 0.99), fused=True)
        else:
            self.g_opt = torch.optim.Adam(self.g.parameters(), r.lr, r.betas, fused=True)
        self.d_opt = torch.optim.Adam(self.d.parameters(), r.lr, r.betas, fused=True)

    def begin_adversarial(self) -> None:
        if self.own_encoder and self.stage == "copy":
            torch.save(self.e.state_dict(), self.folder / "encoder.pt")
        self.stage, self.stage_step = "adversarial", 0
        self.optimizers()

    # the clock
    @property
    def seconds(self) -> float:
        return self.before + time.process_time() - self.begin

    def rate(self, p: float) -> float:
        """Learning rate factor at share p of a stage: short warm-up, cosine to a tenth (copy) or to zero."""
        floor = 0.1 if self.stage == "copy" else 0.0
        return min(1.0, (self.stage_step + 1) / 50) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * p)))

    def due(self, what: str, minutes: float) -> bool:
        now = self.seconds
        if now - self.marks.setdefault(what, now) < 60 * minutes:
            return False
        self.marks[what] = now
        return True

    # the two stages
    def run(self) -> None:
        while (p := self.seconds / (60 * self.minutes)) < 1:
            r = self.recipe
            if self.stage == "copy" and p >= r.copy:
                self.checkpoint()
                self.begin_adversarial()
            share = p / r.copy if self.stage == "copy" else (p - r.copy) / (1 - r.copy)
            for opt, lr in ((self.g_opt, r.copy_lr if self.stage == "copy" else r.lr), (self.d_opt, r.lr)):
                for group in opt.param_groups:
                    group["lr"] = lr * self.rate(min(1.0, max(0.0, share)))
            if r.grow:
                self.g.level = self.d.level = self.ema.level = level_at(share if self.stage == "copy" else 1.0)
            self.copy_step() if self.stage == "copy" else self.adversarial_step()
            self.average()
            self.step += 1
            self.stage_step += 1
            if self.step % 100 == 0:
                self.log(p)
            if self.due("checkpoint", 0.5):
                self.checkpoint()
            if self.due("sheet", 0.5):
                self.sheet()
        self.checkpoint()
        self.sheet()
        self.export()

    def copy_step(self) -> None:
        x, c = self.data.next(self.recipe.copy_batch)
        mean, log_var = self.e(x)
        z = mean + (0.5 * log_var).exp() * torch.randn(mean.shape, generator=self.noise)
        if self.recipe.network == "stylegan2":  # small pictures first: most steps for the time
            share = self.seconds / (60 * self.minutes * self.recipe.copy)
            w = self.g.mapping(z, c)
            fake = self.g.synthesis(
                w.unsqueeze(1).expand(-1, self.g.num_ws, -1),
                None,
                side=16 if share < 0.25 else 32 if share < 0.6 else 64,
            )
        else:
            fake = self.g(z, c[:, : self.g.c_dim])
        target = x
        while target.shape[-1] > fake.shape[-1]:
            target = F.avg_pool2d(target, 2)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1).mean()  # nats a picture
        fit = picture_loss(fake, target)
        self.g_opt.zero_grad(set_to_none=True)
        (fit + 1e-4 * kl).backward()
        nn.utils.clip_grad_norm_(self.g.parameters(), 1.0)
        self.g_opt.step()
        self.note(fit=fit, kl=kl)

    def adversarial_step(self) -> None:
        r = self.recipe
        x, c = self.data.next(r.batch)
        c = c[:, : self.g.c_dim]
        warm = r.loss == "r3gan" and self.stage_step < 100  # D alone: it is new, G is not
        turn = self.stage_step % r.g_steps == 0
        with torch.set_grad_enabled(not warm):
            z = torch.randn(len(x), Z_DIM, generator=self.noise)
            noise = [torch.randn(len(x), 1, s, s, generator=self.noise) for s in self.g.noise_sizes()]
            fake = self.g(z, c, noise or None)
        if turn:
            self.d.requires_grad_(True)
            real_score, fake_score = self.d(x, c), self.d(fake.detach(), c)
            loss = d_loss(r.loss, real_score, fake_score)
            self.note(d=loss, gap=(real_score - fake_score).mean())
            if r.gamma and r.loss == "r3gan" and self.stage_step % 8 == 0:
                r1, r2 = penalty(self.d, x, c), penalty(self.d, fake, c)
                loss = loss + 8 * r.gamma / 2 * (r1 + r2)
                self.note(r1=r1, r2=r2)
            self.d_opt.zero_grad(set_to_none=True)
            loss.backward()
            self.d_opt.step()
        if warm:
            return
        self.d.requires_grad_(False)
        with torch.no_grad():
            real_score = self.d(x, c) if r.loss == "r3gan" else None
        loss = g_loss(real_score, self.d(fake, c))
        if r.keep:
            with torch.no_grad():
                mean, log_var = self.e(x)
                z = mean + (0.5 * log_var).exp() * torch.randn(mean.shape, generator=self.noise)
            fit = picture_loss(self.g(z, c), x)
            loss = loss + r.keep * fit
            self.note(fit=fit)
        if r.sameness:
            loss = loss + r.sameness * fake.var(0).mean()
        self.g_opt.zero_grad(set_to_none=True)
        loss.backward()
        self.g_opt.step()
        self.note(g=loss)

    @torch.no_grad()
    def average(self) -> None:
        """Moving average of G with the recipe's half-life, shorter at the start."""
        decay = min(0.5 ** (8 / self.recipe.half_life), (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), [p.detach() for p in self.g.parameters()], 1 - decay)
        for mine, other in zip(self.ema.buffers(), self.g.buffers(), strict=True):
            mine.copy_(other)

    # what it leaves
    def note(self, **values: Tensor) -> None:
        for key, value in values.items():
            self.sums.setdefault(key, []).append(float(value.detach()))

    def log(self, p: float) -> None:
        row = {"step": self.step, "seconds": round(self.seconds), "stage": self.stage} | {
            k: f"{np.mean(self.sums.get(k, [math.nan])):.4f}" for k in ("fit", "kl", "d", "g", "gap", "r1", "r2")
        }
        self.sums = {}
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(f"{100 * p:.0f} %", *(f"{k}={v}" for k, v in row.items() if v != "nan"), flush=True)

    @torch.no_grad()
    def sheet(self) -> None:
        """32 fixed samples to runs/, and 16 of them to the model's folder as a record of the training."""
        z, c = self.fixed
        noise = [torch.randn(1, 1, s, s, generator=rng(8)) for s in self.ema.noise_sizes()] or None
        pictures = to_uint8(self.ema(z, c, noise))
        if pictures.shape[1] < 64:
            pictures = pictures.repeat(64 // pictures.shape[1], 1).repeat(64 // pictures.shape[2], 2)
        save_sheet(pictures, self.folder / f"sheet-{self.seconds / 60:05.1f}.png", zoom=1)
        save_sheet(pictures, self.folder / "sheet.png")
        frames = self.out / "training"
        frames.mkdir(parents=True, exist_ok=True)
        save_sheet(pictures[:16], frames / f"{self.step:06d}-{self.stage}.png", 4, zoom=1)

    def checkpoint(self) -> None:
        state: dict[str, Any] = {
            "g": self.g.state_dict(),
            "d": self.d.state_dict(),
            "e": self.e.state_dict(),
            "ema": self.ema.state_dict(),
            "g_opt": self.g_opt.state_dict(),
            "d_opt": self.d_opt.state_dict(),
            "step": self.step,
            "stage": self.stage,
            "stage_step": self.stage_step,
            "seconds": self.seconds,
        }
        torch.save(state, self.folder / "last.tmp")
        os.replace(self.folder / "last.tmp", self.folder / "last.pt")

    def resume(self) -> None:
        state = torch.load(self.folder / "last.pt", weights_only=True)
        if state["stage"] != self.stage:
            self.begin_adversarial()
        for key in ("g", "d", "e", "ema", "g_opt", "d_opt"):
            getattr(self, key).load_state_dict(state[key])
        for group in (*self.g_opt.param_groups, *self.d_opt.param_groups):
            group["fused"] = True
        self.step, self.stage_step, self.before = state["step"], state["stage_step"], state["seconds"]

    @torch.no_grad()
    def export(self) -> None:
        """Moving average and discriminator as fp16, the label table, config.json, each written beside and moved."""
        from safetensors.torch import save_file

        g, r = self.ema, self.recipe
        if g.has_w:  # centre of W, for truncation
            index = torch.randint(len(self.data.rows), (4096,), generator=rng(9))
            g.w_avg.copy_(g.mapping(torch.randn(4096, Z_DIM, generator=rng(9)), one_hot(self.data.rows[index])).mean(0))
        self.out.mkdir(parents=True, exist_ok=True)
        files = {"generator": g.state_dict(), "discriminator": self.d.state_dict()}
        if r.conditional:
            files["extras"] = {"labels": self.data.rows}
        for name, state in files.items():
            half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()}
            save_file(half, self.out / f"{name}.tmp")
            os.replace(self.out / f"{name}.tmp", self.out / f"{name}.safetensors")
        info = {
            "network": r.network,
            "generator": {"z_dim": Z_DIM, "c_dim": g.c_dim},
            "discriminator": {"c_dim": g.c_dim},
            "attributes": ATTRIBUTES if r.conditional else {},
            "steps": self.step,
            "pictures": self.step * r.batch,
            "cpu_minutes": round(self.seconds / 60, 1),
        }
        (self.out / "config.json").write_text(json.dumps(info, indent=1) + "\n")


def level_at(share: float) -> float:
    """ProGAN's level over the growing stage: 8, 16, 32 and 64 pixels, each faded in, then held."""
    for end, low, high in (
        (0.12, 0.0, 0.0),
        (0.2, 0.0, 1.0),
        (0.3, 1.0, 1.0),
        (0.4, 1.0, 2.0),
        (0.55, 2.0, 2.0),
        (0.7, 2.0, 3.0),
    ):
        if share < end:
            begin = {0.12: 0.0, 0.2: 0.12, 0.3: 0.2, 0.4: 0.3, 0.55: 0.4, 0.7: 0.55}[end]
            return low + (high - low) * (share - begin) / (end - begin)
    return 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(RECIPES))
    parser.add_argument("--minutes", type=float, default=8, help="CPU minutes of the whole run")
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--out", type=Path, default=None, help="model folder; assets/models/ID when not given")
    args = parser.parse_args()
    torch.set_num_threads(1)
    Trainer(args.what, args.minutes, args.out or MODELS / args.what).run()


if __name__ == "__main__":
    main()
