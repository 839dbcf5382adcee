"""Every generator runs from the command line on its defaults and writes the same file twice."""

import pytest

from core import catalog, provenance
from core.__main__ import main
from core.runtime import models

ENDINGS = {"image": ".png", "video": ".mp4", "audio": ".wav", "multimodal": ".txt", "text": ".txt"}
GENERATORS = [c for c in catalog.cards() if c.role == "generator" and c.source in ("embedded", "borrowed")]


@pytest.mark.parametrize("card", GENERATORS, ids=lambda card: card.id)
def test_generator_runs_on_its_defaults(card, tmp_path):
    files = [tmp_path / f"{n}{ENDINGS[card.modality]}" for n in "ab"]
    for file in files:
        assert main(["run", card.id, "--out", str(file), "--seed", "1"]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    meta = provenance.read(files[0].read_bytes())
    assert meta["model"] == card.id and meta["ai_generated"]
    assert provenance.restore(meta).model == card.id
    models.release_all()


def test_every_embedded_model_has_its_weights_and_a_true_size():
    cards = [c for c in catalog.cards() if c.source == "embedded"]
    assert len(cards) >= 10
    for card in cards:
        stored = sum(path.stat().st_size for path in card.folder.rglob("*.safetensors"))
        assert stored > 0, card.id
        assert abs(stored - card.bytes) <= 0.1 * stored + 4096, f"{card.id}: card says {card.bytes}, files {stored}"
        assert max(path.stat().st_size for path in card.folder.rglob("*")) <= 16_000_000, card.id
        assert card.quality, f"{card.id} has no measured quality"


def test_no_weights_without_a_catalog_line():
    known = {card.id for card in catalog.cards()}
    assert {path.name for path in catalog.MODELS_DIR.iterdir() if path.is_dir()} <= known
