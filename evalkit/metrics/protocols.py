"""The named FID protocols: what each of the field's tools does with a folder of pictures, as data.

| protocol | resize to 299 | prepared before | KID |
|---|---|---|---|
| `torch-fidelity` (default) | bilinear as TensorFlow 1, no antialias | nothing | its own |
| `coco-256` | as torch-fidelity | centre square, Lanczos to 256 | as torch-fidelity |
| `pytorch-fid` | bilinear, half-pixel, no antialias | nothing | it has none: as torch-fidelity |
| `clean-fid` | bicubic, antialiased, never rounded | nothing | its own, unseeded there |
| `torchmetrics` | bilinear, half-pixel, antialiased | nothing | its own, unseeded there |

The default is torch-fidelity's because its extractor agrees with the original TensorFlow one and all of its draws are
seeded, so its numbers can be had again to the last digit. `coco-256` is the usual preparation of COCO FID-30K.

Precision, recall, density, coverage and the Inception Score are not defined by most of these tools: all protocols take
torch-fidelity's and the authors' conventions, on the protocol's own Inception features. (torch-fidelity's default for
precision and recall is VGG16; `--feature-extractor inception-v3-compat` gives the numbers here.) The root differs
between tools only by rounding and is taken exactly in all of them: see `evalkit.metrics.frechet.frechet_distance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from evalkit.errors import UsageError, nearest
from evalkit.metrics.kernel import KidConvention


@dataclass(frozen=True, slots=True)
class FidProtocol:
    """A way to make FID's numbers: names in `evalkit.features.inputs`, and how KID draws."""

    name: str
    input: str
    preparation: str
    kid: KidConvention


_SEEDED = KidConvention("torch-fidelity")

FID_PROTOCOLS: Mapping[str, FidProtocol] = MappingProxyType(
    {
        named.name: named
        for named in (
            FidProtocol("torch-fidelity", "torch-fidelity", "native", _SEEDED),
            FidProtocol("coco-256", "torch-fidelity", "crop-lanczos-256", _SEEDED),
            FidProtocol("pytorch-fid", "pytorch-fid", "native", _SEEDED),
            FidProtocol(
                "clean-fid", "clean-fid", "native", KidConvention("clean-fid", first="reference", shrinks=True)
            ),
            FidProtocol("torchmetrics", "torchmetrics", "native", KidConvention("torchmetrics", first="reference")),
        )
    }
)
"""Defaults read in torch-fidelity 0.4.0, pytorch-fid 0.3.0, clean-fid 0.1.35 and torchmetrics 1.9."""


def fid_protocol(name: str) -> FidProtocol:
    """Return the FID protocol of that name.

    Raises:
        UsageError: there is none; the message has the nearest name.
    """
    if name in FID_PROTOCOLS:
        return FID_PROTOCOLS[name]
    raise UsageError(f"no FID protocol named {name!r}{nearest(name, FID_PROTOCOLS)}")
