"""audiocraft beside a current torch: its tiny debug network runs through the worker process, twice the same."""

import numpy as np
import pytest

from core.audio.audiocraft import AudiocraftRequest, installed
from core.errors import BadRequest, Unavailable
from core.pipeline import Control, run
from core.result import AudioResult, Step


def test_the_debug_network_plays_and_reports_steps():
    assert installed(), "run `make install`"
    items = list(run(AudiocraftRequest(checkpoint="debug", prompt="a drum", seconds=0.5, seed=3)))
    result = items[-1]
    assert isinstance(result, AudioResult)
    seconds = len(result.waveform) / result.sample_rate
    assert result.waveform.shape[1] == 1 and abs(seconds - 0.5) < 0.05  # whole codec frames
    assert np.isfinite(result.waveform).all() and np.abs(result.waveform).max() > 0
    assert sum(isinstance(item, Step) and item.phase == "generate" for item in items) >= 5


def test_a_missing_folder_is_one_sentence():
    with pytest.raises(Unavailable, match="could not run /no/such/folder") as error:
        list(run(AudiocraftRequest(checkpoint="/no/such/folder", prompt="a drum"), Control()))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("values", [{"prompt": " "}, {"checkpoint": ""}, {"seconds": 99.0}, {"kind": "Bark"}])
def test_bad_requests(values):
    with pytest.raises(BadRequest):
        AudiocraftRequest(**{"prompt": "a drum", **values})
