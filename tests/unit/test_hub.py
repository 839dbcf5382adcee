"""Hub checkpoints: looked at before they move, checked by sha256, resumed; every fault one sentence."""

import hashlib
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from core.errors import BadRequest, LabError, Unavailable
from core.pipeline import Control, complete, run
from core.runtime import hub
from core.runtime.hub import DownloadRequest, look

FILES = {
    "model_index.json": b'{"_class_name": "FluxPipeline"}',
    "unet/a.safetensors": b"weights",
    "evil.bin": b"pickle",
}


@pytest.fixture
def fake_hub(tmp_path, monkeypatch):
    """A hub of one checkpoint; `fetched` lists what was downloaded."""
    fetched = []

    def sibling(name, data):
        lfs = (
            SimpleNamespace(sha256=hashlib.sha256(data).hexdigest()) if name.endswith(("safetensors", "bin")) else None
        )
        return SimpleNamespace(rfilename=name, size=len(data), lfs=lfs)

    class Api:
        def model_info(self, source, **_):
            if source != "us/model":
                raise ConnectionError("no network")
            return SimpleNamespace(
                siblings=[sibling(*item) for item in FILES.items()],
                card_data={"license": "mit"},
                config={"model_type": "flux"},
            )

    def not_here(*_, **__):
        raise LocalEntryNotFoundError("not here")

    def download(source, name):
        fetched.append(name)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[name])
        return str(path)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", not_here)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return fetched


def test_looking_downloads_nothing(fake_hub):
    found = look("us/model")
    assert (found.folder, found.licence, found.kind) == ("", "mit", "flux")
    assert found.megabytes == pytest.approx(7e-6)
    assert fake_hub == []


def test_a_download_takes_safetensors_only_and_ends_in_its_folder(fake_hub, tmp_path):
    result = complete(DownloadRequest(source="us/model"))
    assert result.text == str(tmp_path) and result.complete
    assert fake_hub == ["model_index.json", "unet/a.safetensors"]
    assert look(result.text).kind == "FluxPipeline"


def test_a_damaged_file_is_thrown_away(fake_hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_sha256", lambda path: "other")
    with pytest.raises(Unavailable, match="damaged"):
        complete(DownloadRequest(source="us/model"))
    assert not (tmp_path / "unet/a.safetensors").exists()


def test_stop_ends_between_files(fake_hub):
    control = Control()
    for item in run(DownloadRequest(source="us/model"), control):
        if getattr(item, "phase", "") == "download":
            control.stop()
    assert fake_hub == ["model_index.json"] and not item.complete


@pytest.mark.parametrize("source", ["", "/no/such/folder", "~/nope", "a/b/c", "us/other", "no-slash"])
def test_what_is_not_there_is_one_sentence(fake_hub, source):
    with pytest.raises(LabError) as error:
        look(source)
    assert "\n" not in str(error.value)


def test_a_folder_without_safetensors_is_refused(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(BadRequest, match="no safetensors"):
        look(str(tmp_path))
