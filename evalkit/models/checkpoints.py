"""Checkpoints of other libraries: a folder or a hub repository, known by the digest of every file that is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evalkit.errors import UsageError, WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import FilePicture, identities
from evalkit.keys import digest
from evalkit.models.knobs import asked
from evalkit.types import JsonScalar
from evalkit.workspace import Workspace

PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
"""Endings of weight files that can run code when they are read."""
NOT_READ = ("optimizer*", "scheduler.pt", "rng_state*", "trainer_state.json", "training_args.bin", "*.md", ".*")
"""Files that lie beside weights and that no model reads."""
OTHER_PLACES = ("checkpoint-*", "global_step*", "runs", ".*")
"""Folders inside a checkpoint's that belong to its training."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the user allows: code that comes with a checkpoint, and weights as pickles."""

    code: bool
    pickles: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint's files on this machine.

    `content` is the digest of the names and bytes of all files that a library may read: an overwritten file makes
    another checkpoint. `times` are sizes and times of those files when they were read.
    """

    source: str
    folder: Path
    revision: str
    """Commit on the hub; empty for a folder."""
    content: str
    trust: Trust
    times: tuple[tuple[str, int, int, int], ...]

    @property
    def name(self) -> str:
        """The repository, or the folder's own name."""
        return self.source if self.revision else self.folder.resolve().name

    @property
    def identity(self) -> dict[str, JsonScalar]:
        """What tells this checkpoint from any other."""
        return {"weights": self.content, "revision": self.revision, "trust_remote_code": self.trust.code}

    def require_unchanged(self) -> None:
        """Return if the files are still those of the digest: asked after they were loaded.

        Raises:
            WeightsError: one was written since, or files came or went.
        """
        if _times(self.folder) != self.times:
            raise WeightsError(f"{self.folder} was written to while it was loaded; run again once it is whole")


def trust_of(options: Mapping[str, str]) -> Trust:
    """Return what `-a trust_remote_code=` and `-a pickle=` allow: nothing unless they say `yes`.

    Raises:
        UsageError: one says neither yes nor no.
    """
    return Trust(asked(options, "trust_remote_code"), asked(options, "pickle"))


def checkpoint(workspace: Workspace, source: str, revision: str, trust: Trust) -> Checkpoint:
    """Return the checkpoint in folder `source`, or of hub repository `source` at `revision`, fetched if need be.

    Raises:
        UsageError: huggingface_hub is not installed.
        WeightsError: there is none, it is an adapter, or it would need a trust that was not given.
    """
    folder = Path(source).expanduser()
    commit = ""
    if not folder.is_dir():
        folder = _snapshot(workspace, source, revision, trust)
        commit = folder.name
    elif revision:
        raise UsageError(f"-a revision={revision} is for a hub repository, and {source} is a folder; leave it out")
    _require_whole(folder)
    _require_trusted(folder, trust)
    for allowed, what in ((trust.code, "runs the code"), (trust.pickles, "reads pickles, which can run code,")):
        if allowed:
            workspace.progress.say(f"evalkit {what} that comes with {source}, as was asked")
    times = _times(folder)
    names = [name for name, *_ in times]
    digests = identities([FilePicture(folder / name) for name in names], FeatureCache(workspace.cache / "features"))
    content = digest([[name, found] for name, found in zip(names, digests, strict=True)])
    return Checkpoint(source, folder, commit, content, trust, times)


def library_versions(*names: str) -> dict[str, JsonScalar]:
    """Return the installed version of each library.

    Raises:
        UsageError: one is not installed; the message says how to.
    """
    try:
        return {name: version(name) for name in names}
    except PackageNotFoundError as error:
        raise UsageError(f"{error.name} is not installed; pip install 'evalkit-multimodal[{names[-1]}]'") from error


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            found += [] if any(path.match(pattern) for pattern in OTHER_PLACES) else _files(path)
        elif not any(path.match(pattern) for pattern in NOT_READ):
            found.append(path)
    return found


def _times(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in _files(folder)]
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats)


def _snapshot(workspace: Workspace, repository: str, revision: str, trust: Trust) -> Path:
    library_versions("huggingface_hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    kinds = ["*.json", "*.txt", "*.model", "*.jinja", "*.safetensors", "*.spm", "*.tiktoken"]
    kinds += [f"*{ending}" for ending in sorted(PICKLES)] if trust.pickles else []
    kinds += ["*.py"] if trust.code else []
    try:
        found = snapshot_download(
            repository, revision=revision or None, allow_patterns=kinds, local_files_only=workspace.offline
        )
    except HFValidationError as error:
        raise WeightsError(f"{repository} is neither a folder here nor the name of a hub repository") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        how = "without --offline" if workspace.offline else "again, or name a folder"
        said = str(error).splitlines()[0]
        raise WeightsError(f"{repository} is no folder and cannot be fetched ({said}); try {how}") from error
    return Path(found)


def _require_whole(folder: Path) -> None:
    if not (folder / "config.json").is_file() and not (folder / "model_index.json").is_file():
        raise WeightsError(f"{folder} holds neither config.json nor model_index.json; name the checkpoint's folder")
    if (folder / "adapter_config.json").exists():
        raise WeightsError(
            f"{folder} is an adapter, whose base lies elsewhere and may change; merge the two (merge_and_unload) first"
        )


def _require_trusted(folder: Path, trust: Trust) -> None:
    files = _files(folder)
    tensors = {path.parent for path in files if path.suffix == ".safetensors"}
    pickled = [path for path in files if path.suffix in PICKLES and path.parent not in tensors]
    if pickled and not trust.pickles:
        raise WeightsError(f"{pickled[0]} is a pickle, which can run code; -a pickle=yes reads it all the same")
    if trust.code:
        for path in files:
            if path.suffix == ".json" and (elsewhere := _code_elsewhere(path)):
                raise WeightsError(f"{path} takes its code from {elsewhere}, which may change; copy it into {folder}")


def _code_elsewhere(path: Path) -> str | None:
    """Return the other repository that a configuration names for its code (`REPO--file.Class`), if any."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON ({error}); fetch it again") from error
    named = document.get("auto_map") if isinstance(document, dict) else None
    flat = named.values() if isinstance(named, dict) else ()
    texts = [text for value in flat for text in (value if isinstance(value, list) else [value])]
    return next((str(text).partition("--")[0] for text in texts if "--" in str(text)), None)
