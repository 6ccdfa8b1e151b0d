"""What a hostile model or data set may say, and runs that say it everywhere."""

from __future__ import annotations

from pathlib import Path

from evalkit.keys import noun_json
from evalkit.protocols import protocol
from evalkit.results import Coverage, Run, SampleRecord
from evalkit.types import Box, Boxes, Estimate, Interval, Json, Text, Unavailable
from tests.reports.drawn import Studio, scene

LONE = "LONE-SURROGATE"
"""Replaced in the written files by half of a surrogate pair, which JSON can hold and UTF-8 cannot."""

INJECTIONS = (
    "<script>document.title='owned'</script>",
    "</script><script>document.title='owned'</script>",
    "</style><script>document.title='owned'</script>",
    "</title></head><body onload=\"document.title='owned'\">",
    "--><script>document.title='owned'</script><!--",
    "]]><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    '"><svg/onload="document.title=\'owned\'">',
    "'><svg/onload='document.title=1'>",
    '" autofocus onfocus="document.title=1" x="',
    "' onmouseover='document.title=1' x='",
    "javascript:document.title='owned'",
    "jAvAsCrIpT\t:document.title=1//",
    "data:text/html,<script>parent.document.title=1</script>",
    "<iframe srcdoc='<script>parent.document.title=1</script>'></iframe>",
    "<meta http-equiv=refresh content='0;url=https://example.invalid/'>",
    "<base href='https://example.invalid/'>",
    "<link rel=stylesheet href=https://example.invalid/x.css>",
    "<style>*{display:none}</style>",
    "<form action=https://example.invalid/><button autofocus>",
    "<details open ontoggle=document.title=1>",
    "<math><mtext><table><mglyph><style><img src=x onerror=document.title=1>",
    "&lt;script&gt;document.title=1&lt;/script&gt; &#60;b&#62; &amp;",
    "{{ 7 * 7 }}{% for x in y %}{{ x }}{% endfor %}{# #}${7 * 7}",
    "$x^{2 \\frac{$ \\(a\\) %s %(x)s {0}",
    "left \u202eright to left\u2066 and \u200f more",
    "nul \x00 bell \x07 escape \x1b[31m delete \x7f next line \x85",
    f"half a pair {LONE}",
    "line\u2028separator\u2029paragraph\r\n\ttab",
    "\uff1cscript\uff1ealert\uff1c/script\uff1e",
    "x" * 3000,
    "| a | b |\n|---|---|\n`code` [link](javascript:1) ![i](x) @everyone #1",
    "__proto__",
)


def hostile_run(studio: Studio, name: str, text: str) -> Path:
    """Write a run that says `text` wherever a run can say something."""
    rule = protocol(text, {text: text, "size": 1})
    interval = Interval(0.1, 0.3, 0.95, text)
    provenance: dict[str, Json] = {"cache": text, text: {text: [text, None]}, "folder": str(studio.cache)}
    run = Run(
        task=text,
        model=text,
        data=text,
        estimates={
            text: Estimate(0.2, 3, text, True, rule.digest, interval, (text,)),
            f"{text} 2": Unavailable(text),
            "lost": Estimate(1.0, 3, "", None, text),
        },
        coverage=Coverage(3, 2, 1, 0),
        stamps=(text,),
        protocols={rule.digest: rule, text: rule},
        series={f"{text}_by_n": ((1.0, 3.0), (2.0, 2.0), (4.0, 1.5))},
        provenance=provenance,
    )
    return studio.write(name, run, _records(studio, text))


def _records(studio: Studio, text: str) -> list[SampleRecord]:
    picture = noun_json(studio.picture(scene(len(text) % 7, 32)))
    boxes = noun_json(Boxes((Box(text, 0, 0, 1, 1),), 8, 8))
    said: tuple[Json, ...] = (noun_json(Text(text)), boxes, {"type": text, text: text}, text)
    broken: Json = {"type": "Image", "digest": text, "width": 1, "height": 1, "role": text}
    shown: Json = {**picture, "role": text} if isinstance(picture, dict) else picture
    said = (*said, {"type": "Mask", "image": picture})
    answers: tuple[tuple[Json, ...] | None, ...] = ((*said, shown, broken), None, ())
    return [
        SampleRecord(
            id=f"{text} {number}",
            cluster=text,
            strata={text: text},
            parts=(*said, shown),
            references=(*said, shown),
            key=text,
            seed=1,
            from_cache=False,
            seconds=0.1,
            answer_parts=answer,
            failure=(text, text) if answer is None else None,
            scores={} if answer is None else {text: 0.5, "second": float(number)},
        )
        for number, answer in enumerate(answers)
    ]


def hostile_runs(studio: Studio, times: int = 1) -> list[Path]:
    """Write a run, or several that can be compared, for each of `INJECTIONS`."""
    runs = [
        hostile_run(studio, f"hostile-{number}-{again}", text)
        for number, text in enumerate(INJECTIONS)
        for again in range(times)
    ]
    for run in runs:
        for path in run.iterdir():
            path.write_text(path.read_text(encoding="utf-8").replace(LONE, "\\ud800"), encoding="utf-8")
    return runs
