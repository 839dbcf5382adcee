"""Requests validate themselves, come from strings, and name themselves."""

import math
import pickle

import pytest

from core.errors import BadRequest
from tests.fake_pipeline import FakeRequest


@pytest.mark.parametrize(
    "name, value, says",
    [
        ("seed", -1, "from 0 to"),
        ("seed", 2**32, "from 0 to"),
        ("seed", 1.5, "whole number"),
        ("seed", True, "whole number"),
        ("seed", None, "whole number"),
        ("count", 0, "from 1 to 64"),
        ("count", 65, "from 1 to 64"),
        ("num_inference_steps", 0, "from 1 to 100"),
        ("guidance_scale", math.nan, "from 0 to 30"),
        ("guidance_scale", math.inf, "from 0 to 30"),
        ("guidance_scale", "many", "from 0 to 30"),
        ("scheduler", "unknown", "choose one of ddim, euler"),
        ("prompt", "x" * 41, "shorten it to 40"),
        ("prompt", 7, "text"),
        ("wait", "perhaps", "true or false"),
        ("picture", "no bytes", "give a file"),
        ("path", 3, "give a list"),
    ],
)
def test_bad_values_get_one_sentence(name, value, says):
    with pytest.raises(BadRequest) as error:
        FakeRequest(**{name: value})
    sentence = str(error.value)
    assert says in sentence
    assert sentence.endswith(".") and "\n" not in sentence


@pytest.mark.parametrize(
    "values", [{"seed": "x"}, {"seed": "1e9"}, {"wait": "maybe"}, {"no_such": "1"}, {"path": "[1,"}]
)
def test_bad_strings_get_one_sentence(values):
    with pytest.raises(BadRequest) as error:
        FakeRequest.from_dict(values)
    assert next(iter(values)) in str(error.value)


def test_strings_become_typed_values():
    request = FakeRequest.from_dict(
        {"seed": "7", "guidance_scale": "2", "wait": "true", "path": "1, 2.5", "scheduler": "euler"}
    )
    assert (request.seed, request.guidance_scale, request.wait) == (7, 2.0, True)
    assert request.path == (1, 2.5)


def test_round_trips():
    request = FakeRequest(seed=9, prompt="red hair", path=(1.0, 2.0))
    assert FakeRequest.from_dict({k: v for k, v in request.to_dict().items() if k != "picture"}) == request
    assert pickle.loads(pickle.dumps(request)) == request
    assert hash(request) == hash(FakeRequest(seed=9, prompt="red hair", path=(1.0, 2.0)))
    assert request.changed() == {"model": "", "seed": 9, "prompt": "red hair", "path": [1.0, 2.0]}


def test_digest_sees_every_field():
    base = FakeRequest()
    others = [base.replace(**change) for change in ({"seed": 1}, {"picture": b"a"}, {"picture": b"b"}, {"wait": True})]
    assert len({base.digest(), *[other.digest() for other in others]}) == 5
    assert base.digest() == FakeRequest().digest()


def test_sample_seeds_wrap():
    assert FakeRequest(seed=2**32 - 1).sample_seeds(2) == [2**32 - 1, 0]
