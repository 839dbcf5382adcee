"""The shared training helper: it resumes, averages, and publishes whole files."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from training import loop


def _step(run: loop.Run) -> None:
    x = torch.ones(2, 3)
    run.update((run.model(x) - 1).square().mean())


def test_run_resumes_and_averages(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "RUNS", tmp_path)
    torch.manual_seed(0)  # weights that turn around within three steps leave the average outside
    run = loop.Run("line", nn.Linear(3, 1), 1.0, 0.1, batch=2)
    start = run.ema.weight.clone()
    for _ in range(3):
        _step(run)
    run.checkpoint()
    again = loop.Run("line", nn.Linear(3, 1), 1.0, 0.1, batch=2)
    assert again.step == 3
    assert torch.equal(again.model.weight, run.model.weight)
    # the average lies between where it began and where the weights are now
    moved, averaged = (run.model.weight - start).abs(), (again.ema.weight - start).abs()
    assert (averaged > 0).all() and (averaged <= moved + 1e-6).all()
    assert again.seconds >= again.before > 0


def test_rate_falls_to_zero(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "RUNS", tmp_path)
    run = loop.Run("rate", nn.Linear(1, 1), 10.0, 1.0, batch=1)
    run.step, rates = 100, []
    for minutes in (5.0, 9.0, 10.0):
        run.before, run.begin = 60 * minutes, run.begin
        rates.append(run.rate())
    assert rates[0] > rates[1] > rates[2] >= 0 and rates[2] < 1e-6


def test_a_broken_loss_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "RUNS", tmp_path)
    run = loop.Run("nan", nn.Linear(1, 1), 1.0, 1.0, batch=1)
    try:
        run.update(run.model(torch.ones(1, 1)).sum() * float("nan"))
    except FloatingPointError as error:
        assert "step 0" in str(error)
    else:
        raise AssertionError("a loss that is no number must stop the run")


def test_pictures_survive_the_way_to_tensors_and_back(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    assert np.array_equal(loop.to_uint8(loop.to_tensor(pictures)), pictures)
    loop.save_sheet(pictures, tmp_path / "sheet.png", columns=3, zoom=2)
    from PIL import Image

    assert Image.open(tmp_path / "sheet.png").size == (48, 32)


def test_publish_replaces_files_and_keeps_the_card(tmp_path):
    from diffusers import AutoencoderTiny

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text("card")
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 3,
        decoder_block_out_channels=(8,) * 3,
        num_encoder_blocks=(0, 1, 1),
        num_decoder_blocks=(1, 1, 0),
    )
    assert loop.publish(folder, _=tiny) > 0
    assert (folder / "README.md").read_text() == "card"
    back = AutoencoderTiny.from_pretrained(folder)
    assert next(back.parameters()).dtype == torch.float32
    assert next(tiny.parameters()).dtype == torch.float32  # the running model was not halved
