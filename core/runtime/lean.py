"""Keeps out of memory what the libraries import and eager pictures never use: about 100 MB.

`lean_libraries()` before the first import of diffusers or transformers is all that is needed.

diffusers and transformers import `torch._dynamo` for decorators, torch's optimizers for `graph_break` and `disable`.
Without compilation those do nothing, so a stand-in that does nothing serves them. Whoever asks it for anything else gets
the real package, imported then, and from then on everyone does.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

NAME = "torch._dynamo"


def _same(fn: Any = None, *args: Any, **kwargs: Any) -> Any:
    """What decorators for the compiler mean without one: the function itself."""
    return fn if fn is not None else _same


def _nothing(*args: Any, **kwargs: Any) -> None:
    """What hints to the compiler mean without one."""


class _StandIn(types.ModuleType):
    disable = staticmethod(_same)
    allow_in_graph = staticmethod(_same)
    assume_constant_result = staticmethod(_same)
    graph_break = staticmethod(_nothing)
    mark_static_address = staticmethod(_nothing)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by inspect and the import system, not by users of the compiler
            raise AttributeError(name)
        return getattr(_real(), name)


def _real() -> types.ModuleType:
    """Put the real package in place of the stand-in."""
    import torch

    if isinstance(sys.modules.get(NAME), _StandIn):
        del sys.modules[NAME]
        torch._dynamo = importlib.import_module(NAME)  # type: ignore[attr-defined]
    return sys.modules[NAME]


def without_compiler() -> None:
    """Stand in for `torch._dynamo` unless it is imported already. Call it before diffusers or an optimizer."""
    import torch

    if NAME in sys.modules:
        return
    spec = importlib.util.find_spec(NAME)  # finds, does not import
    if spec is None:
        return
    module = _StandIn(NAME)
    module.__spec__, module.__path__ = spec, list(spec.submodule_search_locations or [])
    sys.modules[NAME] = module
    torch._dynamo = module  # type: ignore[attr-defined]


def without_extras() -> None:
    """Let transformers and diffusers believe that scipy and torch's distributed tensors are missing. They want the first
    for detection losses and beta schedules, the second for many machines, and import 60 and 15 MB of it at
    once. Our own code may import scipy as before.
    """
    import diffusers.utils.import_utils as of_diffusers
    import transformers.utils as of_transformers

    def no() -> bool:
        return False

    of_diffusers._scipy_available = False
    of_transformers.is_scipy_available = no
    of_transformers.import_utils.is_scipy_available = no
    of_transformers.is_torch_distributed_available = no
    of_transformers.import_utils.is_torch_distributed_available = no


def lean_libraries() -> None:
    """All of the above; may be called again and again. 489 MB become 393 once latent diffusion has run."""
    without_compiler()
    if "transformers.modeling_utils" not in sys.modules:
        without_extras()
