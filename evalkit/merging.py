"""One run made of the runs of its shards, by scoring what they answered: no model is built, and none is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.cache import Cache
from evalkit.cache.places import Places
from evalkit.errors import CacheError, DataError, NotComparable, UsageError
from evalkit.executors.executor import ModelCard
from evalkit.interfaces import Task
from evalkit.json_values import a_list, a_text, a_whole_number, an_object
from evalkit.keys import request_key
from evalkit.results import Run, read_run, read_samples
from evalkit.runner import RunSettings, Shard, shard_of
from evalkit.types import Answer, Failure, Generation, Json, JsonScalar, Request


@dataclass(frozen=True, slots=True)
class ShardedRun:
    """What the runs of all shards have in common, and where each is kept."""

    task: str
    model: str
    identity: Mapping[str, JsonScalar]
    settings: RunSettings
    """Those of the whole run."""
    data: str | None
    """The data by the name that `--data` takes."""
    data_digest: str
    folders: tuple[Path, ...]
    caches: tuple[Path, ...]
    """Where each run kept its answers."""


def sharded_run(folders: Sequence[Path]) -> ShardedRun:
    """Return the run that the runs in `folders` are the shards of.

    Raises:
        UsageError: they are not all shards of one run.
        NotComparable: two differ in the task, the model, the data or a setting.
        DataError: a folder holds no run, or a damaged one.
    """
    runs = {folder: read_run(folder) for folder in folders}
    _require_all_shards(runs)
    first, run = next(iter(runs.items()))
    common = _common(run)
    for folder, other in runs.items():
        for name, value in _common(other).items():
            if value != common[name]:
                raise NotComparable(
                    f"{folder} has {name} {value!r}, {first} has {common[name]!r}; they are not shards of one run"
                )
    try:
        return _sharded_run(run, common, runs)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{first}/run.json does not say how it was run ({error!r}); run the shard again") from error


def _sharded_run(run: Run, common: Mapping[str, Json], runs: Mapping[Path, Run]) -> ShardedRun:
    identity, data, settings = (an_object(common[name]) for name in ("model", "data", "settings"))
    choice = data["choice"]
    return ShardedRun(
        task=run.task,
        model=run.model,
        identity={name: value for name, value in identity.items() if not isinstance(value, (list, dict))},
        settings=_whole_settings(settings),
        data=None if choice is None else a_text(choice),
        data_digest=a_text(data["digest"]),
        folders=tuple(runs),
        caches=tuple(Path(a_text(found.provenance["cache"])) for found in runs.values()),
    )


def _common(run: Run) -> dict[str, Json]:
    """Return what must not differ between shards."""
    settings = {**an_object(run.provenance.get("settings", {})), "shard": None}
    return {
        "task": run.task,
        "model": run.provenance.get("model"),
        "data": run.provenance["data"],
        "settings": settings,
    }


def _whole_settings(document: Mapping[str, Json]) -> RunSettings:
    limit, metrics, protocol = document["limit"], document["metrics"], document["protocol"]
    return RunSettings(
        seed=a_whole_number(document["seed"]),
        limit=None if limit is None else a_whole_number(limit),
        gen={name: a_text(value) for name, value in an_object(document["gen"]).items()},
        metrics=None if metrics is None else tuple(map(a_text, a_list(metrics))),
        protocol=None if protocol is None else a_text(protocol),
        options={name: a_text(value) for name, value in an_object(document["options"]).items()},
    )


def _require_all_shards(runs: Mapping[Path, Run]) -> None:
    found: dict[Shard, Path] = {}
    for folder, run in runs.items():
        text = an_object(run.provenance.get("settings", {})).get("shard")
        if not isinstance(text, str):
            raise UsageError(f"{folder} is not the run of a shard; `evalkit run ... --shard 1/2` makes one")
        shard = shard_of(text)
        if shard in found:
            raise UsageError(f"{found[shard]} and {folder} are both shard {shard}; name one of them")
        found[shard] = folder
    counts = {shard.count for shard in found}
    if len(counts) > 1:
        raise UsageError(f"these are shards of several splits ({', '.join(map(str, found))}); name those of one")
    (count,) = counts
    missing = [str(shard) for number in range(1, count + 1) if (shard := Shard(number, count)) not in found]
    if missing:
        raise UsageError(f"shard {', '.join(missing)} is missing; name the folder of its run too")


class Recorded:
    """An executor whose answers are those that the shards' runs stored, and whose failures are those they noted.

    `caches` are folders in which answers are looked for besides those that the runs name. Use as a context.
    """

    def __init__(self, run: ShardedRun, task: Task, caches: Iterable[Path]) -> None:
        self.model = ModelCard(run.model, run.identity, frozenset({task.job}))
        self._looked_in = [*dict.fromkeys([*caches, *run.caches])]
        self._caches = [Cache(directory) for directory in self._looked_in if Places(directory).index.exists()]
        self._failures = {
            record.id: Failure(*record.failure, record.seconds)
            for folder in run.folders
            for record in read_samples(folder)
            if record.failure is not None
        }

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        for cache in self._caches:
            cache.close()

    @property
    def portion(self) -> int:
        """How many answers are copied at a time."""
        return 100

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position with what its shard's run has of it.

        Raises:
            CacheError: it has neither an answer nor a failure.
        """
        for position, request in enumerate(requests):
            found = self._stored(request_key(self.model.identity, request)) or self._failures.get(request.sample_id)
            if found is None:
                where = ", ".join(map(str, self._looked_in))
                raise CacheError(
                    f"the answer to sample {request.sample_id} is in none of the caches {where}; name the cache that "
                    "its shard was run with: --from DIR"
                )
            yield position, found

    def _stored(self, key: str) -> Generation | None:
        for cache in self._caches:
            if (found := cache.get(key)) is not None:
                return found
        return None
