"""The Ray cluster: joining or starting one, and how many workers it has room for."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import ray

from evalkit.errors import UsageError

OBJECT_STORE_BYTES = 100 * 2**20
"""Shared memory of a Ray that is started here: answers pass through it and leave it at once."""
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RaySettings:
    """What the user chose: `workers` None is as many as the cluster has room for, at any time.

    `gpus_per_worker` None is 1 where the cluster has GPUs. `lease_seconds` is how long a worker may be silent before it
    is taken for hung.
    """

    workers: int | None = None
    gpus_per_worker: float | None = None
    cpus_per_worker: float = 1
    address: str | None = None
    lease_seconds: float = 1800.0


def connect(chosen: RaySettings) -> bool:
    """Join the cluster that is named, or start one on this machine; return whether this process has to leave it.

    A cluster that this process is in already is used and not left.

    Raises:
        UsageError: no cluster answers.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = chosen.address or os.environ.get("RAY_ADDRESS")
    try:
        if address:
            _require_somebody(address)
            ray.init(address=address, configure_logging=False)
        else:
            _start_here(chosen)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address or 'this machine'} ({error}); start one with `ray start --head`, or "
            "leave out --address to use this machine alone"
        ) from error
    return True


def _require_somebody(address: str) -> None:
    """Return if something listens at the address: Ray itself would wait for minutes.

    Raises:
        OSError: nothing does.
        ValueError: it is the address of a Ray client server, through which answers do not arrive one by one.
    """
    host, colon, port = address.rpartition(":")
    if "://" in address:
        raise ValueError("give HOST:PORT or auto, and start evalkit on a node of the cluster")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _start_here(chosen: RaySettings) -> None:
    """Start a Ray of this process alone, with room for the workers that were asked for."""
    cpus = max(os.cpu_count() or 1, round((chosen.workers or 1) * chosen.cpus_per_worker))
    ray.init(num_cpus=cpus, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False, configure_logging=False)


def gpus_per_worker(chosen: RaySettings) -> float:
    """Return how many GPUs each worker gets: what was chosen, else 1 where the cluster has any."""
    if chosen.gpus_per_worker is not None:
        return chosen.gpus_per_worker
    return float(_resources().get("GPU", 0) > 0)


def room(gpus: float) -> int:
    """Return for how many workers there is room now: one a GPU's share, or one a node where they need no GPU."""
    if gpus:
        return max(1, int(_resources().get("GPU", 0) / gpus))
    nodes: list[dict[str, object]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray types it not
    return max(1, sum(bool(node["Alive"]) for node in nodes))


def _resources() -> dict[str, float]:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray types it not
    return found


def in_words(chosen: RaySettings, gpus: float) -> str:
    """Return how many workers are wanted, what each needs, and what the cluster has."""
    there, count = _resources(), chosen.workers or room(gpus)
    return (
        f"{count} {'worker' if count == 1 else 'workers'} of {chosen.cpus_per_worker:g} CPU and {gpus:g} GPU; the "
        f"cluster has {there.get('CPU', 0):g} CPU and {there.get('GPU', 0):g} GPU"
    )
