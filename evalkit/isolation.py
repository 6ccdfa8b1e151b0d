"""A model in a process of its own (`--isolate`): whatever ends that process is a `Failure` of one sample.

The process is started anew after a crash. It is the user's own code on the user's own account: this keeps a run going,
it is no wall against hostile code.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pickle import UnpicklingError
from typing import Any, TypeAlias

import evalkit.errors as errors
from evalkit.errors import EvalkitError, RunError
from evalkit.interfaces import Model
from evalkit.progress import Bar, Silent
from evalkit.registry import build_model
from evalkit.types import Answer, Failure, Job, JsonScalar, Request
from evalkit.workspace import Workspace

LAST_WORDS_SECONDS = 5.0
"""How long a process whose line went dead is waited for, to learn how it ended."""
Message: TypeAlias = Any
"""What came over the line: it is the other end's word that it is of the kind that was said."""
OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError")


class _Crashed(Exception):
    """The process ended; the message says how."""


class _Relay(Silent):
    """Hands lines on to the process that shows them; bars stay there too."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    def bar(self, what: str, total: int | None, unit: str) -> Bar:
        """Say what has begun, and show nothing more of it."""
        self.say(what)
        return super().bar(what, total, unit)

    def say(self, line: str) -> None:
        """Hand one line on."""
        self._line.send(("say", line))


class _Process:
    """The model's process, and the line to it."""

    def __init__(self, text: str, workspace: Workspace, options: Mapping[str, str]) -> None:
        """Start it and wait until the model is built.

        Raises:
            EvalkitError: what building the model raised, or `RunError` where the process ended over it.
        """
        ours, theirs = socket.socketpair()
        self._progress = workspace.progress
        with theirs:
            command = [sys.executable, "-m", "evalkit.isolation", str(theirs.fileno())]
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
            )
        self._line = Connection(ours.detach())
        weakref.finalize(self, _end, self.process, self._line)
        try:
            self._line.send((sys.path, text, replace(workspace, progress=Silent()), dict(options)))
            self.name, self.identity, self.capabilities = self._next("built")
        except (_Crashed, OSError) as error:
            raise RunError(f"the process of {text} {self._ending()} before its model was built") from error

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield answers as they come.

        Raises:
            _Crashed: the process ended.
        """
        whole = False
        try:
            self._line.send(list(requests))
            while (item := self._next("answer")) is not None:
                yield item
            whole = True
        except (BrokenPipeError, ConnectionError) as error:
            raise _Crashed(self._ending()) from error
        except (EvalkitError, _ModelRaised, MemoryError):
            whole = True
            raise
        finally:
            if not whole:
                self.end()  # what it would still send belongs to nobody

    def _next(self, wanted: str) -> Message:
        while True:
            try:
                kind, value = self._line.recv()
            except (EOFError, ConnectionError, UnpicklingError) as error:
                raise _Crashed(self._ending()) from error
            if kind == "say":
                self._progress.say(value)
            elif kind == "raised":
                raise _raised(*value)
            elif kind == wanted:
                return value

    def _ending(self) -> str:
        try:
            code = self.process.wait(LAST_WORDS_SECONDS)
        except subprocess.TimeoutExpired:
            return "hung up"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

    def end(self) -> None:
        """End the process."""
        _end(self.process, self._line)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.process.poll() is None and not self._line.closed


class _ModelRaised(Exception):
    """What the model itself raised, in its process; a class of the raised one's name is made of it."""


def _raised(name: str, message: str) -> Exception:
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, EvalkitError):
        return kind(message)
    return MemoryError(message) if name in OUT_OF_MEMORY else type(name, (_ModelRaised,), {})(message)


def _end(process: subprocess.Popen[bytes], line: Connection) -> None:
    line.close()
    process.kill()
    process.wait()


class IsolatedModel:
    """Answers with a model that lives in a process of its own, built there as `-m text` asks for."""

    def __init__(self, text: str, workspace: Workspace, options: Mapping[str, str]) -> None:
        """Start the process.

        Raises:
            EvalkitError: the model cannot be built.
        """
        self._text, self._workspace, self._options = text, workspace, options
        self._process = _Process(text, workspace, options)
        self.name: str = self._process.name
        self.identity: Mapping[str, JsonScalar] = self._process.identity
        self.capabilities: frozenset[Job] = self._process.capabilities

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position and answer.

        A process that ends over several requests is started anew and asked one by one, so that the one that ends it
        is the one `Failure`.
        """
        left = set(range(len(requests)))
        try:
            for position, answer in self._living().ask(requests):
                left.discard(position)
                yield position, answer
        except _Crashed as crash:
            if len(requests) == 1:
                yield 0, Failure("crash", f"the model's process {crash}")
                return
            for position in sorted(left):
                for _, answer in self.generate([requests[position]]):
                    yield position, answer

    def _living(self) -> _Process:
        if not self._process.alive:
            self._process = _Process(self._text, self._workspace, self._options)
            if self._process.identity != self.identity:
                raise RunError(f"{self.name} is another model since its process was started anew; run again")
        return self._process


def serve(line: Connection) -> None:
    """Be the model's process: build the model, then answer what comes until the line ends."""
    path, text, workspace, options = line.recv()
    sys.path[:] = path
    model: Model
    try:
        model = build_model(text, replace(workspace, progress=_Relay(line)), options)
        built = (model.name, dict(model.identity), frozenset(model.capabilities))
    except Exception as error:  # noqa: BLE001 - raised again in the process that asked
        line.send(("raised", (type(error).__name__, str(error))))
        return
    line.send(("built", built))
    while True:
        requests = line.recv()
        try:
            for item in model.generate(requests):
                line.send(("answer", item))
            line.send(("answer", None))
        except Exception as error:  # noqa: BLE001 - raised again in the process that asked
            line.send(("raised", (type(error).__name__, str(error))))


if __name__ == "__main__":
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(0)  # whoever asked has left
