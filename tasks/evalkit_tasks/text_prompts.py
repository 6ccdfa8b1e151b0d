"""Prompts that ask for words in a picture: evalkit's own list, and files of prompts with the words in quotation marks.

The list is fixed: 100 texts of five kinds, each asked for plainly, as CM3Leon was taught to (`draw "..."`), and in one
of ten settings. Another text or setting is another version of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from evalkit.errors import DataError
from evalkit.metrics.spelling import normal
from evalkit_tasks.edit_sets import require_text

VERSION = 1
"""Raised with every change of the list."""
PLAIN = 'draw "{}"'
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "poster": 'a poster that says "{}" in large letters',
        "sign": 'a wooden sign that reads "{}"',
        "blackboard": '"{}" written in chalk on a blackboard',
        "shirt": 'a white t-shirt with "{}" printed on it',
        "neon": 'a neon sign that says "{}" above a door at night',
        "book": 'a red book with the title "{}"',
        "screen": 'a computer screen that shows "{}"',
        "cake": 'a birthday cake with "{}" written on it in icing',
        "mug": 'a coffee mug with "{}" printed on its side',
        "billboard": 'a billboard beside a road that reads "{}"',
    }
)
_LISTS: Mapping[str, str] = MappingProxyType(
    {
        "short word": "OPEN|cafe|STOP|music|River|Hello|garden|PIZZA|winter|light|Bread|MARKET|ocean|ticket|Museum|"
        "flower|EXIT|moon|BOOK|sugar",
        "long word": "adventure|BREAKFAST|Celebration|electricity|Photography|knowledge|HURRICANE|imagination|"
        "laboratory|Mountaineer|notebook|orchestra|PHARMACY|quarterly|restaurant|Strawberry|telescope|UNIVERSITY|vegetables|"
        "Watermelon",
        "two words": "Coffee Shop|HAPPY BIRTHDAY|green tea|Book Fair|SLOW DOWN|city park|Good Morning|FIRE STATION|"
        "ice cream|Blue Lagoon|NO SMOKING|summer sale|Last Chance|HIGH VOLTAGE|wild horses|Golden Gate|WET PAINT|"
        "night train|Magic Garden|PUBLIC LIBRARY",
        "sentence": "The train leaves at noon|Please close the door|We are open every day|Do not feed the birds|"
        "Have a nice weekend|This way to the beach|Fresh bread every morning|Thank you for your visit|"
        "Keep off the grass|All good things take time|Dinner is served at seven|No parking on this side|"
        "Welcome to our little town|Wash your hands before eating|The library is on the second floor|"
        "Every child is an artist|Tickets are sold at the gate|Mind the gap between train and platform|"
        "Life is better near the sea|Handle this package with great care",
        "number": "7|42|365|1984|2026|90210|3.14|100%|$5.99|12:30|24/7|50 km|808|1st|66|4711|555-0199|1,000|"
        "0815|99 cents",
    }
)
TEXTS: Mapping[str, tuple[str, ...]] = MappingProxyType({kind: tuple(row.split("|")) for kind, row in _LISTS.items()})
"""The texts by kind, twenty of each."""
_QUOTED = (re.compile(r'"([^"]+)"|“([^”]+)”'), re.compile(r"‘(.+?)’(?!\w)"), re.compile(r"(?<!\w)'(.+?)'(?!\w)"))


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """A prompt, the text that the picture is to show, and what it is grouped by."""

    id: str
    prompt: str
    text: str
    group: str
    """What prompts of the same text share."""
    strata: tuple[tuple[str, str], ...] = ()


def own_prompts() -> tuple[TextPrompt, ...]:
    """Return the 200 prompts of the list, each text plainly and then in its setting."""
    found = []
    for kind, texts in TEXTS.items():
        for number, text in enumerate(texts):
            setting = list(SETTINGS)[number % len(SETTINGS)]
            group = f"{kind.replace(' ', '_')}-{number + 1:02}"
            for name, template in (("plain", PLAIN), (setting, SETTINGS[setting])):
                strata = (("kind", kind), ("setting", name))
                found.append(TextPrompt(f"{group}-{name}", template.format(text), text, group, strata))
    return tuple(found)


def quoted_text(prompt: str) -> str:
    """Return what stands in quotation marks in a prompt, several with a blank between; empty where nothing does.

    Double marks count first; where there are none, curly single ones, and then straight single ones that are no
    apostrophes.

    >>> quoted_text('''a dog's cap with "Good Boy" and "2026" on it'''), quoted_text("a dog's cap with 'woof'")
    ('Good Boy 2026', 'woof')
    """
    for marks in _QUOTED:
        found = [next(group for group in match.groups() if group) for match in marks.finditer(prompt)]
        if found:
            return " ".join(found)
    return ""


def file_prompts(path: Path) -> tuple[tuple[TextPrompt, ...], int]:
    """Return the prompts of a file, one a line, named by the line's number, and how many lines quote no words.

    Those cannot be scored and are not asked; empty lines are no prompts.

    Raises:
        DataError: the file cannot be read, no line quotes words, or a prompt is too long or holds a NUL.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); name a text file of prompts with -t prompts=FILE") from error
    found, without = [], 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        prompt = require_text(line.strip(), f"{path}: line {number}")
        text = quoted_text(prompt)
        if normal(text):
            found.append(TextPrompt(str(number), prompt, text, str(number)))
        else:
            without += 1
    if not found:
        raise DataError(f'{path} holds no prompt with words in quotation marks, as in: a sign that reads "OPEN"')
    return tuple(found), without
