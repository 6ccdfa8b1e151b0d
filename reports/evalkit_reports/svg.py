"""Matplotlib figures as SVG inside a page: no style attributes, no names that clash, colours of the page.

A page with a strict content policy ignores `style=`, so each declaration becomes an attribute. What matplotlib drew in
`INK` takes the colour of the text around it, and each of `SERIES` a variable of the page's style sheet, which has
one value for light and one for dark.
"""

from __future__ import annotations

import io
import re
import warnings
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

INK = "#0a0b0c"
FAINT = "#8a8b8c"
SERIES = ("#010a11", "#010a12", "#010a13", "#010a14", "#010a15", "#010a16")
"""Stand-ins that no figure uses for anything else; see `_PAGE_COLOURS`."""
MARKERS = ("o", "s", "D", "^", "v", "P")
"""A shape for each of `SERIES`, for those who cannot tell the colours apart."""

_PAGE_COLOURS = {
    INK: "currentColor",
    FAINT: "var(--line-strong)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES)},
}
_KEPT = frozenset({
    "fill", "fill-opacity", "opacity", "stroke", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
    "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor", "font-size", "font-weight",
})  # fmt: skip
_REFERENCE = re.compile(r"^(url\()?#([^)]+)(\))?$")


def inline_svg(figure: Figure, prefix: str, description: str) -> Markup:
    """Return `figure` as an SVG element for an HTML page; `description` is read out in its place.

    `prefix` makes its names unique in the page. The text is text, escaped by the serialiser.
    """
    out = io.StringIO()
    # the page brings its own fonts, so a glyph that matplotlib's font lacks is no loss
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(out.getvalue())
    _drop_foreign(root)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = _attributes(element.attrib, prefix)
        element.tail = None
        if element.tag != "text":
            element.text = None
    for name in ("width", "height"):
        root.attrib[name] = root.attrib[name].removesuffix("pt")
    root.attrib.update({"role": "img", "aria-label": description, "stroke-linejoin": "round"})
    # safe to mark: the serialiser has escaped every text and attribute
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _drop_foreign(element: ElementTree.Element) -> None:
    for child in list(element):
        if _local(child.tag) in {"metadata", "style"}:
            element.remove(child)
        else:
            _drop_foreign(child)


def _attributes(attributes: dict[str, str], prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in attributes.items():
        if name == "style":
            declarations = (part.partition(":") for part in value.split(";"))
            found |= {key.strip(): text.strip() for key, _, text in declarations if key.strip() in _KEPT}
        elif name == "id":
            found["id"] = f"{prefix}-{value}"
        else:
            found[_local(name)] = _REFERENCE.sub(rf"\g<1>#{prefix}-\g<2>\g<3>", value)
    return {name: _PAGE_COLOURS.get(value, value) for name, value in found.items()}


def _local(name: str) -> str:
    return name.rpartition("}")[2]
