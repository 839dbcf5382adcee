"""Measure a GAN and write the figures into its card; first find the directions that the page's sliders use.

    python -m training.measure_gan stylegan2            # or all

2,000 samples at psi 1 from seeds 100000 upward against the 2,000 reference portraits: Frechet distance and KID on
EfficientNet-lite0 features, precision, recall, coverage, attribute coverage (classifier attributes-b), adherence to
the labels asked for, and for StyleGAN2 and StyleGAN3 the translation equivariance EQ-T.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.gan.labels import ATTRIBUTES, one_hot
from core.gan.latent import draw, picture, rows_that, spread, to_w
from core.gan.load import Gan, load_folder
from core.gan.move import eq_t
from core.gan.request import COMPONENTS, MODELS, SLIDES, STYLED

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "assets" / "models"
FIRST_SEED = 100_000

CARDS: dict[str, dict[str, Any]] = {
    "gan-mlp": {"title": "GAN (MLP)", "year": 2014, "paper": "https://arxiv.org/abs/1406.2661"},
    "dcgan": {"title": "DCGAN", "year": 2015, "paper": "https://arxiv.org/abs/1511.06434"},
    "progan": {"title": "ProGAN", "year": 2018, "paper": "https://arxiv.org/abs/1710.10196"},
    "stylegan": {"title": "StyleGAN", "year": 2019, "paper": "https://arxiv.org/abs/1812.04948"},
    "stylegan2": {"title": "StyleGAN2", "year": 2020, "paper": "https://arxiv.org/abs/1912.04958"},
    "stylegan3": {"title": "StyleGAN3", "year": 2021, "paper": "https://arxiv.org/abs/2106.12423"},
    "dcgan-collapsed": {"title": "DCGAN, collapsed", "year": 2015, "paper": "https://arxiv.org/abs/1511.06434"},
}

COMMON = """Conditional: the labels of the portraits (style, hair, colours, glasses, beard, mouth) enter beside z, so
every attribute can be asked for. Trained on 18,000 portraits at 64 x 64, on one thread of a shared CPU, in two stages:
as the decoder of a small VAE (L1 and edges), then adversarially. `config.json` says how many steps and CPU minutes."""
PROSE = {
    "gan-mlp": "Two multilayer perceptrons, as in 2014; D uses maxout and dropout. The copy loss stays on beside the\n"
    "adversarial one, without which it fell apart into grey noise within 300 steps. Very weak: close to the mean portrait.",
    "dcgan": "Transposed convolutions with batch norm against strided ones. The copy loss stays on beside the\n"
    "adversarial one, without which checkerboards took over. Weak: soft faces, few colours.",
    "progan": "Grown from 8 to 64 pixels with fades while it copies, then adversarial at 64; pixel norm, equalised\n"
    "learning rate, minibatch deviation. Very weak: 36 CPU seconds gave shapes and two or three colours.",
    "stylegan": "Mapping network, AdaIN, noise at each layer. It began with the mapping and convolutions of our\n"
    "StyleGAN2; it does not grow as the paper's did. Weak: right colours, soft heads without features.",
    "stylegan2": "Weight demodulation, skip connections, R1 and R2 with the relativistic pairing loss of R3GAN; no\n"
    "path-length term. Good: style, colours, hair. Weak: mouths and glasses are near chance, edges fray.",
    "stylegan3": "Fourier features, filtered bends, no noise; the mapping began as our StyleGAN2's. Made small for a\n"
    "CPU: five layers, the last convolution at 32 samples a side. Weak: soft heads. Good: moves as a whole.",
    "dcgan-collapsed": "Our DCGAN after some seconds in which variety over the batch cost the generator, while it took\n"
    "four steps to each one of the discriminator: whatever z and labels say, it draws nearly one\n"
    "picture. Collapsed on purpose.",
}

# Which value of which attribute each slider of SLIDES moves towards.
TOWARDS = {
    "long hair": ("hair", ("long",)),
    "bald": ("hair", ("bald",)),
    "dark hair": ("hair_color", ("black", "brown")),
    "dark skin": ("skin_color", ("brown", "dark")),
    "dark background": ("background", ("navy",)),
    "glasses": ("glasses", ("yes",)),
    "beard": ("beard", ("yes",)),
    "smile": ("mouth", ("smile", "laugh")),
}


# 1. Directions in w
@torch.inference_mode()
def find_directions(gan: Gan, classifier: Any, count: int = 400) -> None:
    """GANSpace (principal axes of w, times their deviation) and attribute directions into extras.safetensors.

    An attribute's direction is that of a ridge regression of what the classifier sees on w, scaled to one deviation
    of w along it times 3, so that slider values of 1 to 3 show.
    """
    from safetensors.torch import load_file, save_file

    g, rng = gan.generator, torch.Generator().manual_seed(11)
    rows = gan.extras["labels"]
    z = torch.randn(count, g.z_dim, generator=rng)
    picked = rows[torch.randint(len(rows), (count,), generator=rng).numpy()]
    w = g.mapping(z, one_hot(picked))  # (N, w_dim)
    centred = w - w.mean(0)
    _, size, axes = torch.linalg.svd(centred, full_matrices=False)
    components = axes[:COMPONENTS] * (size[:COMPONENTS, None] / np.sqrt(count))
    pictures = np.concatenate([picture(gan, spread(gan, w[i : i + 1]), None)[0][None] for i in range(count)])
    seen = classifier.predict(pictures)
    inverse = torch.linalg.inv(centred.T @ centred + 0.02 * count * centred.var() * torch.eye(g.w_dim))
    slides = []
    for name in SLIDES:
        attribute, values = TOWARDS[name]
        y = torch.from_numpy(np.isin(seen[attribute], values).astype(np.float32))
        way = inverse @ centred.T @ (y - y.mean())
        if float(way.norm()) == 0:
            slides.append(torch.zeros(g.w_dim))
            continue
        way = way / way.norm()
        slides.append(way * 3 * (centred @ way).std())
    path = ASSETS / gan.id / "extras.safetensors"
    state = load_file(path) | {"components": components.half().contiguous(), "slides": torch.stack(slides).half()}
    save_file(state, path)


# 2. Figures
@torch.inference_mode()
def samples(gan: Gan, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 64, 64, 3) uint8 with noise at psi 1, and the label rows asked for (N, 8)."""
    rows, images, asked = rows_that(gan, {}), [], []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        z, c, noise, row = draw(gan, seed, rows)
        images.append(picture(gan, spread(gan, to_w(gan, z, c, 1.0)), noise)[0])
        asked.append(row)
    return np.stack(images), np.stack(asked)


def measure(gan: Gan, count: int) -> dict[str, float]:
    """The card's quality figures, rounded."""
    from core.metrics import attributes, features
    from core.metrics.portraits import Reference

    images, asked = samples(gan, count)
    classifier = attributes.load_folder(ASSETS / "attributes-b")
    found = Reference.load().quality(images, features.load(), classifier)
    seen = classifier.predict(images)
    shares = [np.mean(seen[name] == np.asarray(ATTRIBUTES[name])[asked[:, i]]) for i, name in enumerate(ATTRIBUTES)]
    found["adherence"] = float(np.mean(shares))
    if gan.id in ("stylegan2", "stylegan3"):
        found["eq_t"] = eq_t(gan)
    return {k: round(v, 1 if k in ("frechet", "eq_t") else 4) for k, v in found.items()}


# 3. The card
def write_card(gan: Gan, quality: dict[str, float], count: int) -> None:
    """README.md of the model's folder: front matter from the files and the figures; prose is kept if there is any."""
    folder, info = ASSETS / gan.id, gan.info
    size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
    parameters = sum(p.numel() for net in (gan.generator, gan.discriminator) for p in net.parameters())
    figures = ", ".join(f"{k}: {v}" for k, v in quality.items())
    front = {
        "id": gan.id,
        **CARDS[gan.id],
        "role": "generator",
        "family": "gan",
        "modality": "image",
        "source": "embedded",
        "licence": "MIT",
        "data": "DiceBear portraits (CC0 and CC BY 4.0, see NOTICE.md)",
        "recipe": f"python -m training.gan {gan.id} --minutes {info['cpu_minutes']:.1f}",
        "steps": info["steps"],
        "parameters": parameters,
        "bytes": size,
        "memory_mb": 35,
        "quality": "{" + figures + "}",
        "measured": f"python -m training.measure_gan {gan.id} --count {count}",
    }
    path = folder / "README.md"
    old = path.read_text() if path.exists() else ""
    if kept := re.search(r"^memory_mb: (.+)$", old, re.M):
        front["memory_mb"] = kept.group(1)
    prose = old.split("\n---\n", 1)[1].strip() if "\n---\n" in old else f"{PROSE[gan.id]}\n\n{COMMON}"
    lines = "\n".join(f"{k}: {v}" for k, v in front.items())
    path.write_text(f"---\n{lines}\n---\n{prose}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*MODELS, "all"])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in MODELS if args.what == "all" else [args.what]:
        gan = load_folder(ASSETS / name)
        if name in STYLED and "slides" not in gan.extras:
            from core.metrics.attributes import load_folder as load_classifier

            find_directions(gan, load_classifier(ASSETS / "attributes-b"))
        quality = measure(gan, args.count)
        write_card(gan, quality, args.count)
        print(name, json.dumps(quality), flush=True)


if __name__ == "__main__":
    main()
