"""Where training computes and in which precision."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from linegate.cameras.errors import SettingsError

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Device:
    """A torch device and the precision of the forward pass; weights and their updates stay fp32."""

    torch: torch.device
    precision: Precision
    name: str

    def autocast(self) -> AbstractContextManager[object]:
        """The context for the forward pass."""
        kind = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.torch.type, kind, enabled=self.precision != "fp32")


def pick_device(
    device: Literal["auto", "cpu", "cuda"],
    precision: Literal["auto", "fp32", "bf16", "fp16"],
    threads: int | None,
    *,
    repeatable: bool = True,
) -> Device:
    """Choose the device; set torch's threads on a CPU. "auto" precision is bf16 where the processor computes in it.

    ``repeatable``: on a GPU, only kernels that give the same bits every time (a CPU's do); else cuDNN tries which are fastest.

    Raises:
        SettingsError: CUDA was asked for and isn't there, or fp16 on a CPU.
    """
    cuda = torch.cuda.is_available() if device != "cpu" else False
    if device == "cuda" and not cuda:
        raise SettingsError(
            "device",
            expected="a CUDA device",
            found="none",
            remedy="Use --device cpu, or install a CUDA build of torch.",
        )
    if cuda:
        local = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(local)
        _repeat_on_gpu(repeatable)
        chosen: Precision = precision if precision != "auto" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        how = "repeatable" if repeatable else "fastest kernels"
        return Device(local, chosen, f"{torch.cuda.get_device_name(local)} {chosen}, {how}")
    if precision == "fp16":
        raise SettingsError("precision", expected="fp32 or bf16 on a CPU", found="fp16", remedy="Use --precision auto.")
    torch.set_num_threads(threads or cores())
    chosen = precision if precision != "auto" else "bf16" if _computes_bf16() else "fp32"
    return Device(torch.device("cpu"), chosen, f"cpu, {torch.get_num_threads()} threads, {chosen}")


def cores() -> int:
    """Cores that this process may use; of those, its share where torchrun started several on this machine."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, found // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _repeat_on_gpu(repeatable: bool) -> None:
    """https://docs.pytorch.org/docs/stable/notes/randomness.html"""
    if repeatable:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    torch.use_deterministic_algorithms(repeatable, warn_only=True)
    torch.backends.cudnn.benchmark = not repeatable


def _computes_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; without that bf16 is slower than fp32."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return False
    flags = info.read_text(encoding="utf-8", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags
