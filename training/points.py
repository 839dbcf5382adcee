"""The pretrained GANs of the 2-D playground, one a data set, into assets/points/gan.safetensors (90 kB).

python -m training.points --steps 4000
"""

from __future__ import annotations

import argparse

import numpy as np

from core.points import data
from core.points.game import COLUMNS
from core.points.gan import PRETRAINED, GanRequest, begin


def main() -> None:
    """Train with relativistic pairing and R1, keep the averaged generator, print the figures."""
    from safetensors.numpy import save_file

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    kept: dict[str, np.ndarray] = {}
    for name in data.SETS:
        if name == "own":
            continue
        game = begin(GanRequest(data=name, loss="relativistic", r1=0.05, average=0.995))
        rate = game.s.lr_g
        for i in range(steps):
            decayed = rate * min(1.0, 2 * (1 - i / steps))
            game.s = game.s.replace(lr_g=decayed, lr_d=decayed) if i % 50 == 0 else game.s
            game.step()
        now = dict(zip(COLUMNS, game.record()["history"][-1], strict=True))
        print(name, {k: round(float(now[k]), 3) for k in ("modes", "near", "js", "wasserstein", "mmd")}, flush=True)
        kept[f"{name}.g"], kept[f"{name}.d"] = game.mean.astype(np.float16), game.d.flat.astype(np.float16)
    PRETRAINED.parent.mkdir(parents=True, exist_ok=True)
    save_file(kept, PRETRAINED, {"recipe": f"python -m training.points --steps {steps}"})


if __name__ == "__main__":
    main()
