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
    latent, pixel = seconds_a_picture(found, args.steps)
    rows = [
        ["latent", f"{found['parameters'] / 1e6:.2f} M", found["latent_numbers"], f"{found['latent_ms']:.1f} ms", args.steps,
         f"{found['decode_ms']:.1f} ms", f"{latent:.2f} s"],
        ["pixel", f"{found['pixel_parameters'] / 1e6:.2f} M", found["pixel_numbers"], f"{found['pixel_ms']:.1f} ms", args.steps,
         "", f"{pixel:.2f} s"],
    ]  # fmt: skip
    head = ["works on", "parameters", "numbers denoised", "a guided step", "steps", "decoding", "a picture"]
    verdict = (
        f"At {found['side']} px a picture on latents is **{pixel / latent:.1f} times cheaper** (at least {LEAST:g} wanted). "
        f"The same network and number of steps, the least processor time of {args.rounds} alternating windows of equal length on "
        "one thread; the pixel twin's weights are random."
    )
    record("Latent against pixel", table(head, rows) + f"\n\n{verdict}")


if __name__ == "__main__":
    main()
