"""Words to emoji: a second latent diffusion model, its own words, the portraits' U-Net and autoencoder to start from.

    python -m training.emoji                              # the data
    python -m training.emoji_diffusion words --minutes 2  # vocabulary and text tower, from captions alone
    python -m training.emoji_diffusion unet --minutes 15
    python -m training.emoji_diffusion measure            # into the card

The folder assets/models/emoji-diffusion is a stock StableDiffusionPipeline with the very autoencoder of the portraits,
which had never seen an emoji. Trained apart from the portraits' model, so that its figures stay what they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from training import emoji, latent_diffusion, loop
from training.portraits import BACKGROUNDS
from training.text import MODELS, Reader, accuracy, build_clip, clip_tokenizer, naming_loss, tokens
from training.words import BACKGROUNDS as SHADES
from training.words import FILLER

NAME = "emoji-diffusion"
FOLDER = MODELS / NAME
LATENTS = Path("runs/latents/emoji.npy")
EMPTY = 0.12  # share of captions that are dropped
FRUIT = ("lemon", "tangerine", "rose", "blank", "empty", "rosy", "lemon yellow")  # no shades here: they name emoji
PROMPTS = [
    "a fox, 3d style, on white", "a red apple, flat style, on sky blue", "twemoji pizza, mint green background",
    "an octopus emoji on a yellow background, in the noto style", "a rocket, 3d, navy background",
    "a sunflower, noto style, on lavender", "smiling face with sunglasses, twemoji, pink background",
    "a hamburger, flat style, white", "a penguin, noto, on orange", "a broken heart, 3d style, on white",
    "a guitar, twemoji style, on sky blue", "a rainbow, flat, pink background", "a robot, noto style, on white",
    "a cactus, 3d, on yellow", "a car, noto", "a cat, flat style, mint green background",
]  # fmt: skip

Record = dict[str, Any]


# 1. Words
def names(records: list[Record]) -> dict[str, list[str]]:
    """What each concept is called: its label four times, then tags that no other concept has."""
    concepts = {r["label"]: r["tags"] for r in records}
    shared = [tag for tags in concepts.values() for tag in tags]
    return {
        label: [label] * 4 + [t for t in tags if shared.count(t) == 1 and t[0].isalpha()]
        for label, tags in concepts.items()
    }


def phrase(record: Record, called: list[str], rng: np.random.Generator) -> tuple[str, list[bool]]:
    """A phrasing of concept, style and background in any order; whether style and background are said."""

    def pick(values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    if rng.random() < 0.4:
        return record["captions"][int(rng.integers(8))], [True, True]
    said = [bool(rng.random() < 0.75), bool(rng.random() < 0.75)]
    name = pick(called)
    thing = pick([name, name, f"a {name}", f"{name} emoji", f"{pick(FILLER)} {name}", f"the {name}"])
    parts = [thing]
    if said[0]:
        style = pick(emoji.STYLES[record["style"]])
        if rng.random() < 0.5:
            parts[0] = f"{style} {thing}"
        else:
            parts.append(pick([f"{style} style", f"in {style} style", style, f"drawn as {style}", f"like {style}"]))
    if said[1]:
        shade = pick([s for s in SHADES[record["background"]] if s not in FRUIT])
        parts.append(
            pick([f"{shade} background", f"on {shade}", f"on a {shade} background", f"{shade} backdrop", shade])
        )
    order = rng.permutation(len(parts)) if rng.random() < 0.3 else range(len(parts))
    return pick([", ", " ", ", "]).join(parts[i] for i in order), said


def targets(records: list[Record], said: list[list[bool]], labels: list[str]) -> torch.Tensor:
    """(B, 3): the number of concept, style and background; one past the last where it is not said."""
    styles, backgrounds = list(emoji.STYLES), list(BACKGROUNDS)
    rows = [
        [
            labels.index(r["label"]),
            styles.index(r["style"]) if style else len(styles),
            backgrounds.index(r["background"]) if background else len(backgrounds),
        ]
        for r, (style, background) in zip(records, said, strict=True)
    ]
    return torch.tensor(rows)


def train_words(minutes: float, batch: int = 48) -> None:
    """The text tower learns to say concept, style and background of a caption; then it stays as it is."""
    _, records = emoji.load("train")
    called = names(records)
    labels = sorted(called)
    rng = np.random.default_rng(0)
    corpus = [phrase(r, called[r["label"]], rng)[0] for r in records[::2]] + sorted(
        {name for line in called.values() for name in line}
        | set(FILLER)
        | {s for line in SHADES.values() for s in line}
    ) * 10
    tokenizer = clip_tokenizer(corpus, most=6000)
    whole = build_clip(len(tokenizer))
    reader = Reader(CLIPTextModel(whole.config.text_config), "clip", [len(labels), len(emoji.STYLES), len(BACKGROUNDS)])
    run = loop.Run("emoji-words", reader, minutes, 2e-3, batch=batch, ema=0.99)
    print(len(tokenizer), "pieces,", sum(p.numel() for p in reader.encoder.parameters()), "parameters", flush=True)
    for step in run:
        rng = np.random.default_rng([11, step])
        chosen = [records[i] for i in rng.integers(len(records), size=batch)]
        texts, said = zip(*[phrase(r, called[r["label"]], rng) for r in chosen], strict=True)
        ids, mask = tokens(tokenizer, list(texts), full=step % 5 == 0)
        logits, wanted = reader(ids, mask), targets(chosen, list(said), labels)
        run.update(naming_loss(logits, wanted), right=accuracy(logits, wanted), concept=accuracy(logits[:1], wanted))
    loop.publish(FOLDER, text_encoder=run.ema.encoder, tokenizer=tokenizer)


# 2. Pictures
@torch.no_grad()
def encoded() -> np.ndarray:
    """Latents of the training emoji (N, 4, 16, 16) fp16, made once by the portraits' autoencoder."""
    if not LATENTS.exists():
        model = AutoencoderTiny.from_pretrained(MODELS / "autoencoder").eval()
        pictures, _ = emoji.load("train")
        parts = [
            model.encode(loop.to_tensor(pictures[i : i + 100])).latents.numpy().astype(np.float16)
            for i in range(0, len(pictures), 100)
        ]
        LATENTS.parent.mkdir(parents=True, exist_ok=True)
        np.save(LATENTS, np.concatenate(parts))
    return np.load(LATENTS, mmap_mode="r")


class Captions(latent_diffusion.Captions):
    """Latents of emoji, each with a phrasing drawn anew."""

    def __init__(self) -> None:
        self.latents = encoded()
        _, self.records = emoji.load("train")
        self.called = names(self.records)
        self.tokenizer = CLIPTokenizer.from_pretrained(FOLDER / "tokenizer")
        self.encoder = CLIPTextModel.from_pretrained(FOLDER / "text_encoder", dtype=torch.float32)
        self.encoder.eval().requires_grad_(False)
        self.masked = False

    def batch(self, size: int, rng: np.random.Generator) -> tuple[torch.Tensor, list[str]]:
        """Latents (B, 4, 16, 16) and their captions, some of them empty."""
        index = rng.integers(len(self.latents), size=size)
        chosen = [self.records[i] for i in index]
        texts = ["" if rng.random() < EMPTY else phrase(r, self.called[r["label"]], rng)[0] for r in chosen]
        return torch.from_numpy(self.latents[index].astype(np.float32)), texts


def train(minutes: float, lr: float, batch: int) -> None:
    """From our own weights where there are some, else from the portraits' U-Net."""
    own = (FOLDER / "unet/diffusion_pytorch_model.safetensors").exists()
    unet = UNet2DConditionModel.from_pretrained((FOLDER if own else latent_diffusion.FOLDER) / "unet")
    latent_diffusion.fit(NAME, unet, Captions(), minutes, lr, batch, PROMPTS)


# 3. How good it is
def measure(count: int = 60, steps: int = 20, guidance: float = 3.0) -> dict[str, Any]:
    """Is the asked emoji the nearest one? `count` prompts of trained pairs of concept and style, `count` of held-out ones.

    A judge that knows photographs (EfficientNet-lite0) compares a generated emoji with the real ones of all concepts in the
    asked style on the asked background; a linear classifier on the same features tells the style. Beside them stand real
    emoji through the autoencoder, and the share of copies: within 0.04 RMSE at 32 px of a training picture.
    """
    from sklearn.linear_model import LogisticRegression

    from core.diffusion.load import load_folder
    from core.metrics import features
    from training.autoencoder import reconstruct
    from training.measure_images import near_share, pictures, seconds_a_picture

    model, network = load_folder(FOLDER), features.load()
    real, records = emoji.load("all")
    judged = [i for i, r in enumerate(records) if r["background"] in ("white", "sky blue")]
    known = network.features(np.asarray(real[judged]))  # (2984, 320)
    gallery = [records[i] for i in judged]
    trained = np.array([r["split"] == "train" for r in gallery])
    styles = np.array([r["style"] for r in gallery])
    reader = LogisticRegression(max_iter=300).fit(known[trained], styles[trained])
    figures: dict[str, Any] = {"prompts": 2 * count, "steps": steps, "guidance": guidance}
    figures["concepts"] = len({r["label"] for r in records})
    rng, shown = np.random.default_rng(5), []
    train_pictures = np.asarray(emoji.load("train")[0])
    for split in ("train", "heldout"):
        rows = rng.permutation([i for i, r in enumerate(gallery) if r["split"] == split])[:count]
        asked = [gallery[i] for i in rows]
        prompts = [r["captions"][i % 8] for i, r in enumerate(asked)]
        images = pictures(model, prompts, steps, guidance)
        shown.append(images)
        found = network.features(images)
        figures[f"{split}_concept_nearest"], figures[f"{split}_group_nearest"] = nearest(found, asked, known, gallery)
        figures[f"{split}_style"] = round(float((reader.predict(found) == [r["style"] for r in asked]).mean()), 3)
        figures[f"{split}_background"] = round(float(np.mean(
            [corner_colour(image) == r["background"] for image, r in zip(images, asked, strict=True)]
        )), 3)  # fmt: skip
        figures[f"{split}_near_copies"] = near_share(images, train_pictures)
    again = reconstruct(
        AutoencoderTiny.from_pretrained(FOLDER / "vae").eval(), np.asarray(real[[judged[i] for i in rows]])
    )
    ceiling = network.features(again)
    figures["ceiling_concept"], figures["ceiling_group"] = nearest(ceiling, asked, known, gallery)
    figures["ceiling_style"] = round(float((reader.predict(ceiling) == [r["style"] for r in asked]).mean()), 3)
    figures["cpu_seconds_a_picture"] = seconds_a_picture(model, prompts[0], steps, guidance)
    loop.save_sheet(np.concatenate(shown), loop.RUNS / f"measure-{NAME}.png", columns=15)
    return figures


def nearest(found: np.ndarray, asked: list[Record], known: np.ndarray, gallery: list[Record]) -> tuple[float, float]:
    """Share of `found` features (N, 320) whose nearest real emoji of the asked style and background has the asked concept,
    and the asked group."""
    right = []
    for feature, record in zip(found, asked, strict=True):
        rows = [i for i, r in enumerate(gallery) if all(r[k] == record[k] for k in ("style", "background"))]
        best = gallery[rows[int(np.square(known[rows] - feature).sum(1).argmin())]]
        right.append((best["label"] == record["label"], best["group"] == record["group"]))
    concept, group = np.mean(right, axis=0)
    return round(float(concept), 3), round(float(group), 3)


def corner_colour(image: np.ndarray) -> str:
    """The name of the plain colour nearest to the median of a picture's four corners (4x4 pixels each)."""
    corners = np.concatenate(
        [image[y, x].reshape(-1, 3) for y in (np.s_[:4], np.s_[-4:]) for x in (np.s_[:4], np.s_[-4:])]
    )
    colour = np.median(corners, axis=0)
    return min(BACKGROUNDS, key=lambda name: float(np.abs(colour - list(bytes.fromhex(BACKGROUNDS[name]))).sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["words", "unet", "measure"], default="unet")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    args = parser.parse_args()
    if args.what == "words":
        train_words(args.minutes)
    elif args.what == "measure":
        from training.measure_images import fill_card, steps_done

        quality = measure()
        print(quality)
        fill_card(NAME, quality, **steps_done(NAME))
    else:
        train(args.minutes, args.lr, args.batch)


if __name__ == "__main__":
    main()
