"""Where flags come from when the command line does not give them: a config file, then the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import get_origin

from cyclopts import App, Token
from cyclopts.argument import Argument, ArgumentCollection

from evalkit.errors import UsageError, nearest

PREFIX = "EVALKIT_"
NO_FLAGS = ("EVALKIT_WEIGHTS", "EVALKIT_DATASETS")
"""Variables that are read without a flag of their name: see `evalkit.workspace.Workspace`."""


def fill_from_environment(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give each flag that has no value yet the value of its environment variable, if that is set."""
    for name, argument in _by_name(arguments).items():
        variable = PREFIX + name.upper()
        value = os.environ.get(variable, "")
        if argument.hint is bool:
            value = {"on": "true", "off": "false"}.get(value.lower(), value)
        if value and not argument.tokens and argument.name.startswith("-"):
            argument.append(Token(keyword=variable, value=value, source="the environment"))


def fill_from_config(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give each argument that has no value yet its value in the file that `--config` names.

    Raises:
        UsageError: the file cannot be read, or holds a key that is no flag.
    """
    known = _by_name(arguments)
    if "config" not in known:
        return
    tokens = known["config"].tokens
    path = tokens[0].value if tokens else os.environ.get(f"{PREFIX}CONFIG", "")
    if not path:
        return
    for key, value in _document(Path(path)).items():
        name = key.replace("-", "_")
        if name not in known or name == "config":
            flags = [flag for flag in known if flag != "config"]
            raise UsageError(f"{path}: {key!r} is not a flag of evalkit {' '.join(commands)}{nearest(name, flags)}")
        argument = known[name]
        if not argument.tokens:
            _append(argument, _texts(path, key, value), path, key)


def unknown_variables(app: App) -> dict[str, str]:
    """Return each environment variable that starts as a flag's does but is none, with words that offer the nearest."""
    from evalkit.weight_table import WEIGHTS

    known = {*NO_FLAGS, *(weight.variable for weight in WEIGHTS.values())}
    for command in _leaves(app):
        arguments = command.assemble_argument_collection(parse_docstring=False)
        known |= {PREFIX + name.upper() for name, a in _by_name(arguments).items() if a.name.startswith("-")}
    return {name: nearest(name, known) for name in sorted(os.environ) if name.startswith(PREFIX) and name not in known}


def _leaves(app: App) -> list[App]:
    """Return the commands of `app` that do something themselves."""
    names = [name for name in app if not name.startswith("-")]
    return [leaf for name in names for leaf in _leaves(app[name])] if names else [app]


def _by_name(arguments: ArgumentCollection) -> dict[str, Argument]:
    leaves = [argument for argument in arguments if argument.parse and not argument.children]
    return {argument.name.lstrip("-").replace("-", "_").lower(): argument for argument in leaves}


def _append(argument: Argument, texts: list[str], path: str, key: str) -> None:
    repeatable = get_origin(argument.hint) is tuple
    for index, text in enumerate(texts if repeatable else [",".join(texts)]):
        argument.append(Token(keyword=key, value=text, source=path, index=index))


def _document(path: Path) -> dict[str, object]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"config file {path} cannot be read ({error.strerror}); check --config") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"config file {path} is not YAML ({' '.join(str(error).split())})") from error
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise UsageError(f"config file {path} must map flags to values, as in `limit: 20`")
    return document


def _texts(path: str, key: str, value: object) -> list[str]:
    """Return what the command line would have said for `value`: a mapping is a list of `name=value`."""
    if isinstance(value, Mapping):
        return [f"{name}={_text(path, key, item)}" for name, item in value.items()]
    if isinstance(value, list):
        return [_text(path, key, item) for item in value]
    return [_text(path, key, value)]


def _text(path: str, key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise UsageError(f"{path}: {key!r} holds {value!r}; give a text, a number, a list of them, or name: value pairs")
