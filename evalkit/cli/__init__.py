"""The `evalkit` command.

Exit codes: 0 done; 1 samples failed; 2 an error that the message says how to mend; 70 a bug in evalkit; 130 stopped by
Ctrl-C; 143 stopped by SIGTERM.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence

from cyclopts import CycloptsError

from evalkit.cli.app import application
from evalkit.cli.stopping import Terminated, terminable
from evalkit.errors import EvalkitError

BUG = 70
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

CONTINUABLE = ("run", "fetch")
"""Commands that go on where they were stopped when they are given again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of the command line `arguments` (None: the process's own)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with terminable():
            return _exit_code(application()(words, exit_on_error=False, print_error=False))
    except EvalkitError as error:
        return _failed(str(error))
    except CycloptsError as error:
        return _failed(f"{error} See `{shlex.join(['evalkit', *_command(words), '--help'])}`.")
    except KeyboardInterrupt:
        return _stopped(words, INTERRUPTED)
    except Terminated:
        return _stopped(words, TERMINATED)
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        traceback.print_exc()
        print("error: this is a bug in evalkit; please report the lines above", file=sys.stderr)
        raise SystemExit(BUG) from error


def _exit_code(returned: object) -> int:
    sys.stdout.flush()
    return returned if isinstance(returned, int) else 0


def _failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _command(words: Sequence[str]) -> list[str]:
    """Return the subcommand that `words` begin with, if any."""
    commands = application()
    return [word for word in words[:1] if not word.startswith("-") and word in commands]


def _stopped(words: Sequence[str], code: int) -> int:
    print("\nstopped", file=sys.stderr)
    if words and words[0] in CONTINUABLE:
        again = shlex.join(["evalkit", *words])
        print(f"everything finished until now is kept; to continue:\n  {again}", file=sys.stderr)
    return code
