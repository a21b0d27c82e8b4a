"""In which precision networks multiply."""

from collections.abc import Mapping
from typing import Any, Literal

import torch

MixedPrecision = Literal["float32", "bfloat16", "auto"]
"""'auto' is bfloat16 where the processor multiplies it natively, and float32 elsewhere."""


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16; without them it is emulated, and slower than float32."""
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # absent before torch 2.10
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def is_low(precision: MixedPrecision) -> bool:
    """Whether multiplications are to be of bfloat16."""
    return precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16())
