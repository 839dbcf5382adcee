"""Latent against pixel diffusion at equal resolution and parameters: python -m benchmarks.latent_pixel"""

from __future__ import annotations

import argparse

from benchmarks.common import record, table
from core.diffusion.cost import CostRequest, seconds_a_picture
from core.pipeline import complete

LEAST = 8.0  # times cheaper a picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20, help="denoising steps, each with and without the prompt")
    args = parser.parse_args()
    found = complete(CostRequest(rounds=args.rounds)).extras
    rows, ratios = [], []
    for kind, at_once in (("", 1), ("sheet_", found["sheet"])):
        seconds = seconds_a_picture(found, args.steps, kind)
        ratios.append(seconds[1] / seconds[0])
        for name, each in zip(("latent", "pixel"), seconds, strict=True):
            rows.append(
                [name, at_once, f"{found['parameters' if name == 'latent' else 'pixel_parameters'] / 1e6:.2f} M",
                 found[f"{name}_numbers"], f"{found[f'{kind}{name}_ms']:.1f} ms", args.steps,
                 f"{found[f'{kind}decode_ms']:.1f} ms" if name == "latent" else "", f"{each:.2f} s"]
            )  # fmt: skip
    head = [
        "works on",
        "pictures at once",
        "parameters",
        "numbers denoised",
        "a guided step",
        "steps",
        "decoding",
        "a picture",
    ]
    verdict = (
        f"At {found['side']} px a picture on latents is **{ratios[0]:.1f} times cheaper**, one of {found['sheet']} made at once "
        f"**{ratios[1]:.1f} times** (at least {LEAST:g} wanted). Times are those of one picture. "
        f"The same network and number of steps, the least processor time of {args.rounds} alternating windows of equal length on "
        "one thread; the pixel twin's weights are random."
    )
    record("Latent against pixel", table(head, rows) + f"\n\n{verdict}")


if __name__ == "__main__":
    main()
