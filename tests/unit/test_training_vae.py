"""The VAE's samples, walk and map, on random weights; its recipe's folder loads back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.errors import BadRequest, LabError
from core.pipeline import Control
from core.vae.network import VAE, load_folder
from core.vae.request import VAERequest
from core.vae.sample import generate
from training import vae as recipe


def _tiny(latent: int = 3) -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(side=8, hidden=8, latent=latent).eval()


def _run(request: VAERequest, model: VAE):
    return list(generate(request, Control(), model))[-1]


def test_a_sample_can_be_made_alone():
    model = _tiny()
    many = _run(VAERequest(count=6, seed=10), model)
    assert many.images.shape == (6, 8, 8, 3) and many.seeds == list(range(10, 16)) and many.complete
    alone = _run(VAERequest(count=1, seed=15), model)
    assert np.array_equal(many.extras["z"][5], alone.extras["z"][0])
    assert np.abs(many.images[5].astype(int) - alone.images[0]).max() <= 1


def test_walk_begins_and_ends_at_its_seeds():
    walk = _run(VAERequest(view="walk", count=5, seed=1, seed_to=2), _tiny()).extras["z"]
    ends = [_run(VAERequest(count=1, seed=s), _tiny()).extras["z"][0] for s in (1, 2)]
    assert np.allclose(walk[0], ends[0], atol=1e-5) and np.allclose(walk[-1], ends[1], atol=1e-5)


def test_map_is_a_square_with_the_first_number_to_the_right():
    z = _run(VAERequest(model="vae-2d", view="map", count=7, reach=2.0), _tiny(2)).extras["z"].reshape(3, 3, 2)
    assert np.allclose(z[1, :, 0], [-2, 0, 2]) and np.allclose(z[:, 1, 1], [2, 0, -2])


def test_bad_requests_and_broken_folders_are_told(tmp_path):
    with pytest.raises(BadRequest):
        VAERequest(count=0)
    with pytest.raises(BadRequest):
        VAERequest(temperature=float("nan"))
    with pytest.raises(LabError, match="restore"):
        load_folder(tmp_path)


def test_the_recipe_writes_what_the_loader_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "MODELS", tmp_path)
    model = _tiny()
    recipe.save(model, "vae")
    back = load_folder(tmp_path / "vae")
    z = torch.zeros(1, 3)
    assert torch.allclose(back.decode(z), model.decode(z), atol=5e-3)
