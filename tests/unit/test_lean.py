"""The stand-in for torch's compiler, each case in a process of its own, since what is imported stays."""

import subprocess
import sys

EAGER = """
import sys, torch
from core.runtime.lean import without_compiler
without_compiler()
w = torch.nn.Parameter(torch.ones(3))
o = torch.optim.Adam([w], 0.1)
(w ** 2).sum().backward()
o.step()
assert abs(float(w[0]) - 0.9) < 1e-5, w
assert "torch.distributed.tensor" not in sys.modules and "torch._inductor" not in sys.modules
without_compiler()  # twice does no harm
"""
ASKED = """
import sys, torch
from core.runtime.lean import without_compiler
without_compiler()
assert torch._dynamo.config is not None
assert "torch._dynamo.eval_frame" in sys.modules and torch._dynamo is sys.modules["torch._dynamo"]
assert torch.compile(lambda x: 2 * x, backend="eager")(torch.ones(2)).tolist() == [2, 2]
"""

PICTURES = """
import sys
import core.diffusion.sample
from diffusers import UNet2DConditionModel
assert "diffusers" in sys.modules and "torch.distributed.tensor" not in sys.modules and "torch._inductor" not in sys.modules
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-800:]


def test_an_optimizer_runs_without_the_compiler():
    run(EAGER)


def test_whoever_asks_for_the_compiler_gets_it():
    run(ASKED)


def test_the_pipeline_of_pictures_imports_no_compiler():
    run(PICTURES)
