"""Figures of the image models, written into their cards.

    python -m training.measure_images autoencoder
    python -m training.measure_images latent-diffusion --prompts 100
    python -m training.measure_images latent-diffusion --prompts 60 --only-sweep 15 30   # more points of the trade-off
    python -m training.measure_images student --prompts 100
    python -m training.measure_images clip               # and t5, pixel-ddpm, vae, vae-2d

Attributes are read by classifier B ("attributes-b"), which no training here has seen. Beside a model's figure stand
two ceilings: real held-out portraits, and the same portraits through the autoencoder.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from training import loop

MODELS = Path("assets/models")
FREE = Path("assets/prompts/free.json")
SWEEP = (0.0, 1.0, 2.0, 3.0, 4.0, 7.5, 15.0, 30.0)  # guidance of the trade-off page
DEFAULT = {"latent-diffusion": ("DDIM", 20, 3.0), "student": ("DDIM", 4, 1.0), "latent-dit": ("DPM++ flow", 20, 3.0)}


@torch.no_grad()
def pictures(
    model: Any, prompts: list[str], steps: int, guidance: float, seed: int = 1000, batch: int = 20
) -> np.ndarray:
    """(N, 64, 64, 3) uint8, picture i from its own noise of seed + i; the model's own scheduler."""
    from core.diffusion.text import encode

    done = []
    for start in range(0, len(prompts), batch):
        part = prompts[start : start + batch]
        told, masks = _together([encode(model, p) for p in part])  # (B, 48, 128), (B, 48) or None
        free, free_masks = _together([encode(model, "")] * len(part))
        noises = [loop.generator(seed + start + i) for i in range(len(part))]
        plan = type(model.scheduler).from_config(model.scheduler.config)
        plan.set_timesteps(steps)
        x = torch.stack([torch.randn(model.latent_shape, generator=g) for g in noises])
        for t in plan.timesteps:
            v = model.predict(x, t, told, masks)
            if guidance != 1:
                without = model.predict(x, t, free, free_masks)
                v = without + guidance * (v - without)
            x = plan.step(v, t, x).prev_sample
        done.append(loop.to_uint8(model.decode(x)))
    return np.concatenate(done)


def _together(encoded: list[tuple[torch.Tensor, torch.Tensor | None]]) -> tuple[torch.Tensor, torch.Tensor | None]:
    masks = [mask for _, mask in encoded if mask is not None]
    return torch.cat([words for words, _ in encoded]), torch.cat(masks) if masks else None


def hits(images: np.ndarray, wanted: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """For each attribute (N,) True where picture i shows what record i says, by the held-out classifier."""
    from core.metrics.attributes import label, load_folder

    seen = load_folder(MODELS / "attributes-b").predict(images)
    return {name: np.array([label(r[name]) for r in wanted]) == values for name, values in seen.items()}


def shares(images: np.ndarray, wanted: list[dict[str, Any]]) -> dict[str, float]:
    """Share of pictures that are right: each attribute, and "mean" over attributes."""
    found = {name: float(right.mean()) for name, right in hits(images, wanted).items()}
    return {k: round(v, 3) for k, v in {**found, "mean": float(np.mean(list(found.values())))}.items()}


def named_right(images: np.ndarray, wanted: list[dict[str, Any]]) -> float:
    """Share of all that the prompts name which the pictures show."""
    from core.metrics.attributes import label, load_folder

    seen = load_folder(MODELS / "attributes-b").predict(images)
    right = [
        label(value) == seen[name][i] for i, names in enumerate(wanted) for name, value in names.items() if name in seen
    ]
    return round(float(np.mean(right)), 3)


def copies(images: np.ndarray) -> tuple[float, float]:
    """`near_share` of `images` to the training portraits; the same of held-out ones."""
    from training.portraits import load

    train, held = load("train", 64)[0], load("heldout", 64)[0][:200]
    return near_share(images, train), near_share(held, train)


def near_share(images: np.ndarray, train: np.ndarray) -> float:
    """Share of `images` within 0.04 (RMSE at 32 px, range 0 to 1) of one of `train`; both (N, 64, 64, 3) uint8."""

    def small(x: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [
                x[i : i + 500].reshape(-1, 32, 2, 32, 2, 3).mean((2, 4), dtype=np.float32).reshape(-1, 3072) / 255
                for i in range(0, len(x), 500)
            ]
        )

    x, known = small(images), small(train)
    square = np.square(x).sum(1)[:, None] + np.square(known).sum(1) - 2 * x @ known.T
    return round(float((np.sqrt(square.min(1).clip(0) / 3072) < 0.04).mean()), 3)


def measure_text_to_image(
    name: str, count: int, scales: Sequence[float] = SWEEP
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Held-out prompts at the default guidance, free phrasings, ceilings, near-copies, time of one picture.

    Second, for a guided model, the figures of the trade-off over guidance (`sweep`).
    """
    from core.diffusion.load import load_folder
    from training.portraits import load

    model = load_folder(MODELS / name)
    _, steps, guidance = DEFAULT[name]
    real, _ = load("heldout", 64)
    chosen, asked, prompts = heldout_prompts(count)
    figures: dict[str, Any] = {"prompts": count, "steps": steps, "guidance": guidance}
    figures["cpu_seconds_a_picture"] = seconds_a_picture(model, prompts[0], steps, guidance)
    images = pictures(model, prompts, steps, guidance)
    loop.save_sheet(images[:64], loop.RUNS / f"measure-{name}.png")
    right = shares(images, asked)
    figures |= {"attributes_right": right.pop("mean"), "right": right}
    table: list[dict[str, Any]] = []
    if guidance != 1:
        plain = pictures(model, prompts, steps, 1.0)
        figures |= rise(plain, images, asked)
        drawn_at = {1.0: plain, guidance: images}
        table = sweep(model, prompts, asked, steps, drawn_at, scales)
    figures["ceiling_real"] = shares(np.asarray(real[chosen]), asked)["mean"]
    from diffusers import AutoencoderTiny

    from training.autoencoder import reconstruct

    vae = AutoencoderTiny.from_pretrained(MODELS / "autoencoder").eval()
    figures["ceiling_autoencoder"] = shares(reconstruct(vae, real[chosen]), asked)["mean"]
    free = json.loads(FREE.read_text())
    drawn = pictures(model, [f["prompt"] for f in free], steps, guidance, seed=5000)
    loop.save_sheet(drawn, loop.RUNS / f"measure-{name}-free.png", columns=10)
    figures["free_right"] = named_right(drawn, [f["names"] for f in free])
    figures["free_right_no_template"] = named_right(drawn[:30], [f["names"] for f in free[:30]])
    figures["near_copies"], figures["near_copies_real"] = copies(images)
    return figures, table


def heldout_prompts(count: int) -> tuple[np.ndarray, list[dict[str, Any]], list[str]]:
    """Rows of `count` held-out portraits, drawn alike each time, their records, and one caption of each."""
    from training.portraits import load

    _, records = load("heldout", 64)
    chosen = np.random.default_rng(7).permutation(len(records))[:count]
    asked = [records[i] for i in chosen]
    return chosen, asked, [r["captions"][i % len(r["captions"])] for i, r in enumerate(asked)]


def more_sweep(name: str, count: int, scales: Sequence[float]) -> None:
    """Measure the trade-off at `scales` and put them into the card's table, beside or in place of what stands there."""
    from core.diffusion.load import load_folder

    _, asked, prompts = heldout_prompts(count)
    rows = sweep(load_folder(MODELS / name), prompts, asked, DEFAULT[name][1], {}, scales)
    card = yaml.safe_load((MODELS / name / "README.md").read_text().split("---\n", 2)[1])
    table = {row["w"]: row for row in [*card.get("sweep", []), *rows]}
    fill_card(name, sweep=[table[w] for w in sorted(table)])
    print(json.dumps(rows))


def seconds_a_picture(model: Any, prompt: str, steps: int, guidance: float) -> float:
    """CPU seconds of one picture alone, the best of three: other work on the machine only adds."""
    spent = []
    for _ in range(3):
        begin = time.process_time()
        pictures(model, [prompt], steps, guidance)
        spent.append(time.process_time() - begin)
    return round(min(spent), 2)


def rise(plain: np.ndarray, guided: np.ndarray, asked: list[dict[str, Any]]) -> dict[str, Any]:
    """What guidance adds to the attributes right, in points, with its 95 % bootstrap interval over prompts."""
    from core.diffusion.score import with_band

    each = [np.mean(list(hits(images, asked).values()), axis=0) for images in (plain, guided)]  # (N,) twice
    gain = with_band(100 * (each[1] - each[0]), lambda v: float(v.mean()))
    return {
        "attributes_right_guidance_1": round(float(each[0].mean()), 3),
        "rise_points": round(gain[0], 1),
        "rise_low": round(gain[1], 1),
        "rise_high": round(gain[2], 1),
    }


def sweep(
    model: Any,
    prompts: list[str],
    asked: list[dict[str, Any]],
    steps: int,
    drawn: dict[float, np.ndarray],
    scales: Sequence[float],
) -> list[dict[str, Any]]:
    """Rows for the trade-off page: w and (value, low, high) of each figure, on the held-out prompts.

    drawn: pictures that are there already, by guidance.
    """
    from core import catalog
    from core.diffusion import score
    from core.encoders import load_clip
    from core.metrics import features
    from core.metrics.portraits import Reference

    clip = load_clip(catalog.card("clip")) if (MODELS / "clip/config.json").exists() else None
    network, judge = features.load(), Reference.load()
    distance = score.to_real(judge.features)
    rows = []
    for w in sorted({*scales, *drawn}):
        images = drawn[w] if w in drawn else pictures(model, prompts, steps, w)
        right = 100 * np.mean(list(hits(images, asked).values()), axis=0)  # (N,)
        figures = {
            "attributes_right": score.with_band(right, lambda v: float(v.mean())),
            "spread": spread_within(model, prompts, steps, w),
            "saturation": score.with_band(score.saturation(images), lambda v: float(v.mean())),
            "frechet": score.with_band(network.features(images), distance, rounds=60),
        }
        if clip is not None:
            cosines = clip.score(images, prompts).diagonal()
            figures["clip_score"] = score.with_band(cosines, lambda v: float(v.mean()))
        rows.append({"w": w, "prompts": len(prompts), **{k: [round(x, 3) for x in v] for k, v in figures.items()}})
    return rows


def measure_autoencoder() -> dict[str, Any]:
    """PSNR, L1, and the attributes that survive the way through the latents."""
    from diffusers import AutoencoderTiny

    from training.autoencoder import measure, reconstruct
    from training.portraits import load

    real, records = load("heldout", 64)
    again = reconstruct(AutoencoderTiny.from_pretrained(MODELS / "autoencoder").eval(), real[:500])
    right = shares(again, records[:500])
    return {
        **measure(),
        "attributes_right": right.pop("mean"),
        "right": right,
        "ceiling_real": shares(np.asarray(real[:500]), records[:500])["mean"],
    }


RUN = {"t5": "text-t5"}  # where the run's name is not the model's


def spread_within(model: Any, prompts: list[str], steps: int, w: float, of: int = 6, seeds: int = 8) -> Any:
    """(value, low, high): how far pictures of one prompt lie apart, mean over the first `of` prompts."""
    from core.diffusion import score

    drawn = pictures(model, [p for p in prompts[:of] for _ in range(seeds)], steps, w, seed=9000, batch=24)
    each = [score.spread(drawn[i : i + seeds]) for i in range(0, len(drawn), seeds)]
    return score.with_band(np.array(each), lambda v: float(v.mean()))


def steps_done(name: str) -> dict[str, int]:
    """{"steps": ...} of the run that made these weights, where its checkpoint is still there."""
    checkpoint = loop.RUNS / RUN.get(name, name) / "last.pt"
    if not checkpoint.exists():
        return {}
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    card = yaml.safe_load((MODELS / name / "README.md").read_text().split("---\n", 2)[1])
    return {"steps": int(card.get("steps_before", 0)) + int(state["step"])}  # before: runs on other latents


def fill_card(name: str, quality: dict[str, Any] | None = None, **values: Any) -> None:
    """Put `quality` and other front matter into the card; bytes and parameters are read off the weight files."""
    from safetensors import safe_open

    path = MODELS / name / "README.md"
    _, front, prose = path.read_text().split("---\n", 2)
    card = yaml.safe_load(front) | values
    if quality is not None:
        card["quality"] = quality
    files = sorted((MODELS / name).rglob("*.safetensors"))
    card["bytes"] = sum(f.stat().st_size for f in files)
    card["parameters"] = 0
    for file in files:
        with safe_open(file, "np") as weights:
            card["parameters"] += sum(int(np.prod(weights.get_slice(k).get_shape())) for k in weights.keys())  # noqa: SIM118
    path.write_text(
        "---\n"
        + yaml.safe_dump(card, sort_keys=False, width=120, allow_unicode=True, default_flow_style=None)
        + "---\n"
        + prose
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["autoencoder", "clip", "t5", "pixel-ddpm", "vae", "vae-2d", *DEFAULT])
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--sweep", type=float, nargs="*", default=SWEEP, help="guidance of the stored trade-off")
    parser.add_argument("--only-sweep", type=float, nargs="+", help="measure nothing but these points of the trade-off")
    args = parser.parse_args()
    if args.only_sweep:
        return more_sweep(args.what, args.prompts, args.only_sweep)
    more: dict[str, Any] = {}
    if args.what == "autoencoder":
        quality = measure_autoencoder()
    elif args.what == "clip":
        from training.text import measure_clip

        quality = measure_clip()
    elif args.what == "t5":
        from training.text import measure_reader

        quality = measure_reader("t5")
    elif args.what == "pixel-ddpm":
        from training.pixel_ddpm import measure as measure_pixels

        quality = measure_pixels()
    elif args.what in ("vae", "vae-2d"):
        from training.vae import measure

        quality = measure(args.what)
    else:
        quality, table = measure_text_to_image(args.what, args.prompts, args.sweep)
        more = {"sweep": table} if table else {}
    print(json.dumps(quality, indent=1))
    fill_card(args.what, quality, **more, **steps_done(args.what))


if __name__ == "__main__":
    main()
