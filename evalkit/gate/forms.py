"""The gate's verdicts as others read them: JUnit XML, Markdown for a pull request, GitHub's annotations, JSON.

Names and reasons come from runs, which are untrusted: each form escapes them in its own way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

from evalkit.gate.verdicts import Status, Verdict, exit_code
from evalkit.types import Json

_ICONS = {
    Status.PASS: "✅",
    Status.RISE: "⬆️",
    Status.REGRESSION: "❌",
    Status.MISSING: "❌",
    Status.NOT_COMPARABLE: "🚫",
    Status.UNDERPOWERED: "⚠️",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def subject(verdict: Verdict) -> str:
    """Return what a verdict is about: a task, or a number of it."""
    return f"{verdict.task} {verdict.name}".strip()


def number(value: float | None) -> str:
    """Return `value` with five significant digits; a dash for None."""
    return "-" if value is None else f"{value:.5g}"


def change(verdict: Verdict) -> str:
    """Return the difference with its interval, empty where there is none."""
    found = verdict.difference
    if found is None:
        return ""
    if found.interval is None:
        return f"{found.difference:+.4g}"
    return f"{found.difference:+.4g} ({found.interval.low:+.4g} to {found.interval.high:+.4g})"


def headline(verdicts: Sequence[Verdict]) -> str:
    """Return one line that says how the gate ended and what it saw."""
    ending = {0: "passed", 1: "found a regression", 3: "could not compare", 4: "is underpowered"}[exit_code(verdicts)]
    counts = Counter(verdict.status.value for verdict in verdicts)
    return f"the gate {ending}: " + ", ".join(f"{count} {status}" for status, count in counts.items())


def junit(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as JUnit XML, a suite for each task: what does not pass is a failure, a rise is said."""
    root = ElementTree.Element("testsuites", name="evalkit gate")
    for task in dict.fromkeys(verdict.task for verdict in verdicts):
        ours = [verdict for verdict in verdicts if verdict.task == task]
        failed = [verdict for verdict in ours if verdict.status.exit_code]
        totals = {"name": _xml(task), "tests": str(len(ours)), "failures": str(len(failed)), "errors": "0"}
        suite = ElementTree.SubElement(root, "testsuite", totals)
        for verdict in ours:
            case = ElementTree.SubElement(suite, "testcase", classname=_xml(task), name=_xml(verdict.name or "samples"))
            text = _xml(" ".join([change(verdict), verdict.reason]).strip())
            if verdict.status.exit_code:
                kind = verdict.status.value
                ElementTree.SubElement(case, "failure", type=kind, message=_xml(verdict.reason)).text = text
            elif text:
                ElementTree.SubElement(case, "system-out").text = text
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Return `text` without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a Markdown table, for a pull request or a job's summary."""
    lines = [
        f"**evalkit: {headline(verdicts)}**",
        "",
        "| | task | number | baseline | now | difference | p (Holm) | tolerance | detectable | |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for verdict in verdicts:
        found = verdict.difference
        cells = [
            _ICONS[verdict.status],
            _cell(verdict.task),
            _cell(verdict.name),
            number(None if found is None else found.baseline),
            number(None if found is None else found.candidate),
            change(verdict),
            number(verdict.p),
            number(verdict.tolerance),
            number(verdict.detectable),
            _cell(f"{verdict.status.value}: {verdict.reason}" if verdict.reason else verdict.status.value),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return `text` so that it neither ends a cell nor formats, links, mentions or tags anything."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", " ".join(text.replace("&", "&amp;").split()))
    return escaped.replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")


def github(verdicts: Sequence[Verdict]) -> str:
    """Return a GitHub workflow command for each verdict that is not a plain pass: errors, and warnings for rises."""
    lines = []
    for verdict in verdicts:
        if verdict.status is not Status.PASS:
            kind = "error" if verdict.status.exit_code else "warning"
            title = _command(f"evalkit: {subject(verdict)}: {verdict.status.value}", of_property=True)
            text = _command(" ".join([verdict.reason, change(verdict)]).strip(), of_property=False)
            lines.append(f"::{kind} title={title}::{text}\n")
    return "".join(lines)


def _command(text: str, *, of_property: bool) -> str:
    """Return `text` as GitHub's runner decodes it: a newline would end the command and begin another."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace(":", "%3A").replace(",", "%2C") if of_property else escaped


def verdict_json(verdict: Verdict) -> dict[str, Json]:
    """Return a verdict as JSON."""
    found = verdict.difference
    document: dict[str, Json] = {
        "task": verdict.task,
        "name": verdict.name,
        "status": verdict.status.value,
        "reason": verdict.reason,
        "p": verdict.p,
        "tolerance": verdict.tolerance,
        "minimum_detectable": verdict.detectable,
        "samples_needed": verdict.needed,
        "fields": {name: list(values) for name, values in (verdict.fields or {}).items()},
    }
    if found is not None:
        interval: Json = None if found.interval is None else [found.interval.low, found.interval.high]
        document |= {
            "baseline": found.baseline,
            "candidate": found.candidate,
            "difference": found.difference,
            "interval": interval,
            "unit": found.unit,
            "n": found.n,
            "clusters": found.clusters,
            "won": found.won,
            "lost": found.lost,
            "method": found.method,
        }
    return document
