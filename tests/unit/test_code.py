"""Show code: the lines run as they stand and make the same bytes; the zip holds every sample and a manifest."""

import io
import json
import zipfile

from core import provenance
from core.pipeline import complete
from tests.fake_pipeline import FakeRequest
from ui.result import bundle, code


def test_the_code_makes_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = FakeRequest(seed=3, prompt='it\'s "red"', guidance_scale=7.5, path=(1.0, 2.0), scheduler="euler")
    exec(compile(code(request), "shown", "exec"), {})
    assert (tmp_path / "result.png").read_bytes() == provenance.encode(complete(request), ".png")


def test_the_zip_is_complete_and_always_the_same():
    result = complete(FakeRequest(seed=8, count=3))
    data = bundle(result)
    assert bundle(result) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["-8.png", "-9.png", "-10.png", "manifest.json", "reproduce.py"]
        assert json.loads(archive.read("manifest.json"))["seeds"] == [8, 9, 10]
        one = provenance.read(archive.read("-9.png"))
        assert one["request"]["seed"] == 9 and one["request"]["count"] == 1
