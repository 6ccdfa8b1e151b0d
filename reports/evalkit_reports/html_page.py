"""What every HTML page of this room is made of: templates that escape, one style sheet, scripts under a policy."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evalkit.types import Estimate, Json, Unavailable
from evalkit_reports import numbers
from evalkit_reports.wording import LONGEST_NAME, shortened, visible


def html_page(
    template: str, context: Mapping[str, object], scripts: Sequence[str] = ("page.js",), *, served: bool = False
) -> str:
    """Return the page that a template makes of `context`; `scripts` are files of this room that it runs.

    A page that is `served` may ask its server again.
    """
    style, script = own_file("page.css"), Markup("\n").join(own_file(name) for name in scripts)
    policy = content_policy(style, script) + ("; connect-src 'self'" if served else "")
    page = page_environment().get_template(template)
    return page.render({**context, "style": style, "script": script, "policy": policy})


def page_environment() -> Environment:
    """Return the templates of this room, everything escaped and every undefined name an error."""
    environment = Environment(
        loader=PackageLoader("evalkit_reports"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["name"] = _name
    environment.globals.update({"numbers": numbers, "facts": facts, "has_number": _has_number})
    return environment


def _shown(value: object) -> object:
    """Make every text that a template prints visible; what this room itself marked up stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _name(text: str) -> str:
    return shortened(text, LONGEST_NAME)


def own_file(name: str) -> Markup:
    """Return a file of this room that a page holds as it stands."""
    text = files("evalkit_reports").joinpath("templates", name).read_text(encoding="utf-8")
    return Markup(text)


def content_policy(style: str, script: str) -> str:
    """Return the content policy of a page that holds this style sheet and this script, and nothing else."""
    return (
        "default-src 'none'; img-src data: file: 'self'; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{_sha256(style)}'; script-src 'sha256-{_sha256(script)}'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def facts(document: Mapping[str, Json], prefix: str = "") -> list[tuple[str, str]]:
    """Return a JSON object as pairs of a dotted name and a text, objects inside it opened up.

    >>> facts({"seed": 0, "packages": {"torch": "2.6"}})
    [('seed', '0'), ('packages.torch', '2.6')]
    """
    found: list[tuple[str, str]] = []
    for name, value in document.items():
        if isinstance(value, dict) and value:
            found += facts(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found.append((f"{prefix}{name}", text))
    return found


def _has_number(estimate: Estimate | Unavailable) -> bool:
    return isinstance(estimate, Estimate)
