"""What computes: device, arithmetic, and the processes that share the work."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from corpuscle.core.cores import num_cores
from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.settings import Settings

if TYPE_CHECKING:
    import torch
    from torch import nn

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
MEANT = {"gpu": "cuda", "nvidia": "cuda", "apple": "mps", "metal": "mps"}  # what people call a device, to its name here


class DevicePlan(Settings):
    """What computes."""

    name: str = Field("auto", description="auto (a GPU if there is one), cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="arithmetic of the forward and backward pass; auto is bf16 where the device has it"
    )
    workers: int = Field(-1, ge=-1, le=64, description="loader processes; -1 chooses: none on a CPU, some beside a GPU")


@dataclass(frozen=True)
class Machine:
    """The device, arithmetic and processes of this run.

    Attributes:
        device: of this process.
        precision: arithmetic of training.
        rank, world: this process among all; 0 of 1 when alone.
        workers: loader processes.
        why: the reason of each choice, in words.
    """

    device: torch.device
    precision: Literal["fp32", "bf16", "fp16"]
    rank: int
    world: int
    workers: int
    why: dict[str, str]

    @property
    def first(self) -> bool:
        """Whether this process writes the run."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of the forward pass."""
        import torch

        if self.precision == "fp32":
            return contextlib.nullcontext()
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]
        return torch.autocast(self.device.type, dtype=kind)

    def shared(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over all processes."""
        if self.world == 1:
            return module
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(module, device_ids=[self.device.index] if self.device.type == "cuda" else None)

    def apart(self, shared: nn.Module) -> AbstractContextManager[Any]:
        """The context in which the gradients of a shared module stay in their process."""
        if self.world == 1:
            return contextlib.nullcontext()
        context: AbstractContextManager[Any] = shared.no_sync()  # type: ignore[operator]
        return context

    def same(self, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weights of the first process in every process; running statistics differ between them."""
        if self.world > 1:
            import torch.distributed as dist

            for value in weights.values():
                dist.broadcast(value, 0)
        return weights

    def gathered(self, part: Any) -> list[Any]:
        """The parts of all processes, in order of rank, in every process."""
        if self.world == 1:
            return [part]
        import torch.distributed as dist

        parts: list[Any] = [None] * self.world
        dist.all_gather_object(parts, part)
        return parts


def choose_machine(plan: DevicePlan) -> Machine:
    """Find the device, the arithmetic and the processes, and say why.

    Raises:
        CorpuscleError: a device that is not there, or arithmetic it has not.
    """
    import torch

    keep_freed_memory()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device, why = _device(plan.name, int(os.environ.get("LOCAL_RANK", 0)))
    precision, why_precision = _precision(plan.precision, device)
    cores = num_cores()
    workers, why_workers = plan.workers, "asked for"
    if workers < 0:
        workers = 0 if device.type == "cpu" else min(8, max(1, cores // max(1, world) - 1))
        why_workers = "the net itself uses every core" if device.type == "cpu" else f"{cores} cores beside the device"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    whys = {"device": why, "precision": why_precision, "workers": why_workers}
    return Machine(device, precision, rank, world, workers, whys)


@contextlib.contextmanager
def processes(machine: Machine) -> Iterator[None]:
    """Join the other processes that torchrun started, and leave them at the end."""
    if machine.world == 1:
        yield
        return
    import torch.distributed as dist

    dist.init_process_group("nccl" if machine.device.type == "cuda" else "gloo", timeout=timedelta(hours=6))
    try:
        yield
    finally:
        dist.destroy_process_group()


def keep_freed_memory() -> None:
    """Tell glibc's allocator to keep what is freed: fresh pages are half the cost of big tensors on a CPU."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, -1)


def _device(name: str, local_rank: int) -> tuple[torch.device, str]:
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", local_rank), "a GPU was found"
        if torch.backends.mps.is_available():
            return torch.device("mps"), "an Apple GPU was found"
        return torch.device("cpu"), "no GPU was found"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdigit()):
        meant = MEANT.get(kind.lower(), name.lower())
        raise CorpuscleError(f"'{name}' is not a device; {nearest(meant, ['auto', 'cpu', 'cuda', 'cuda:1', 'mps'])}")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    index = int(number) if number else local_rank
    if (kind != "cpu" and index >= there) or not there:
        raise CorpuscleError(f"device {name} is not there ({there} {kind} devices found); pass --device auto or cpu")
    return (torch.device(kind, index) if kind == "cuda" else torch.device(kind)), "asked for"


def _precision(name: str, device: torch.device) -> tuple[Literal["fp32", "bf16", "fp16"], str]:
    import torch

    if device.type == "cuda":
        has_bf16, word = torch.cuda.is_bf16_supported(including_emulation=False), "the GPU"
    elif device.type == "cpu":
        found = torch.cpu.get_capabilities()
        has_bf16, word = any(found.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")), "the CPU"
    else:
        has_bf16, word = False, "the device"
    if name == "auto":
        if has_bf16:
            return "bf16", f"{word} has bf16 arithmetic"
        if device.type == "cuda":
            return "fp16", "the GPU has no bf16 arithmetic"
        return "fp32", f"{word} has no fast bf16 arithmetic"
    if name == "fp16" and device.type != "cuda":
        raise CorpuscleError(
            f"device.precision fp16 expects a CUDA GPU, this is {device.type}; pass bf16, fp32 or auto"
        )
    return name, "asked for"  # type: ignore[return-value]
