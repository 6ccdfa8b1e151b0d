"""The weights of what judges a picture against its prompt, as data: preference models and VQAScore's model.

The digests of PickScore and HPSv2 stand on the files' pages of the Hugging Face hub, that of FLAN-T5's tokeniser in
several projects that hashed their download. Of CLIP-FlanT5-XL the revision is known, which pins it where the hub serves
it, and no digest; of XXL neither, so that it is not fetched but taken where the user puts it. What is read of both goes
into the protocol of every number, so that two files are never taken for one.
"""

from __future__ import annotations

from evalkit.picture_weights import hub_blob, hub_snapshot, hub_url
from evalkit.weight_files import Layout, Weight, WeightFile

_PICKSCORE = "yuvalkirstain/PickScore_v1"
_HPS, _HPS_REVISION = "xswu/HPSv2", "697403c78157020a1ae59d23f111aa58ced35b0a"
_FLANT5_XL, _FLANT5_XL_REVISION = "zhiqiulin/clip-flant5-xl", "2cee5afb3386792d9b21066a89232687dfce2c62"
_FLANT5_BASE_REVISION = "7bcac572ce56db69c1ea7c8af255c5d7c9672fc2"


def _pickscore(file: str, kept: str, revision: str, sha256: str, layout: Layout) -> WeightFile:
    return WeightFile(
        file=file,
        sha256=sha256,
        size=3_940_000_000,
        layout=layout,
        offers="picture and text features, and the scale of their cosine",
        licence="MIT",
        cached=hub_blob(_PICKSCORE, sha256),
        urls=(hub_url(_PICKSCORE, revision, kept),),
        about=True,
    )


def _hps(version: str, file: str, sha256: str, size: int) -> Weight:
    whole = WeightFile(
        file=file,
        sha256=sha256,
        size=size,
        layout="open-clip",
        offers="picture and text features",
        licence="Apache-2.0",
        cached=hub_blob(_HPS, sha256),
        urls=(hub_url(_HPS, _HPS_REVISION, file),),
    )
    return Weight(
        f"hps-{version}", f"HPS {version} of Wu et al. 2023, a CLIP ViT-H/14 of people's preferences", (whole,)
    )


ALIGNMENT_WEIGHTS = (
    Weight(
        "pickscore-v1",
        "PickScore v1 of Kirstain et al. 2023, a CLIP ViT-H/14 of people's preferences",
        (
            _pickscore(
                "PickScore_v1.safetensors",
                "model.safetensors",
                "a4e4367c6dfa7288a00c550414478f865b875800",
                "ef31ef6fc5ff4d9bb90dd232df4e145887ba62c5a03aa2841415f8c25f18d52e",
                "clip-safetensors",
            ),
            _pickscore(
                "PickScore_v1.bin",
                "pytorch_model.bin",
                "4811ca826eb529163dc0e072e1d26dcb85f9fd95",
                "3f0cf1c6e533f478534404cb3ca6938103becbfe4312c6affc077c274a757972",
                "clip-transformers",
            ),
        ),
    ),
    _hps(
        "v2.1",
        "HPS_v2.1_compressed.pt",
        "c57a38fb4a2f7e7c15bf00da2ea377cdf165448b4dd1052a484c215a998c9837",
        1_972_490_005,
    ),
    _hps(
        "v2.0",
        "HPS_v2_compressed.pt",
        "07cb0d20626232204ca3a6ec53ff5984e7e53212a8a7b0e0ec2bac1bdaf125a1",
        1_972_484_501,
    ),
    Weight(
        "clip-flant5-xl",
        f"CLIP-FlanT5-XL of Lin et al. 2024, which VQAScore asks ({_FLANT5_XL} at {_FLANT5_XL_REVISION[:8]})",
        (
            WeightFile(
                file=f"clip-flant5-xl.{_FLANT5_XL_REVISION[:8]}.bin",
                sha256="",
                size=6_320_000_000,
                layout="clip-flant5",
                offers="answers to questions about a picture",
                licence="Apache-2.0 (t2v_metrics)",
                cached=hub_snapshot(_FLANT5_XL, _FLANT5_XL_REVISION, "pytorch_model.bin"),
                urls=(hub_url(_FLANT5_XL, _FLANT5_XL_REVISION, "pytorch_model.bin"),),
                about=True,
            ),
        ),
    ),
    Weight(
        "clip-flant5-xxl",
        "CLIP-FlanT5-XXL of Lin et al. 2024, which VQAScore asks: 23 GB in the files that this one names",
        (
            WeightFile(
                file="clip-flant5-xxl/pytorch_model.bin.index.json",
                sha256="",
                size=100_000,
                layout="clip-flant5-index",
                offers="answers to questions about a picture",
                licence="Apache-2.0 (t2v_metrics)",
                command="hf download zhiqiulin/clip-flant5-xxl --local-dir clip-flant5-xxl",
                about=True,
            ),
        ),
    ),
    Weight(
        "flan-t5-tokens",
        "the tokeniser of every T5 and FLAN-T5",
        (
            WeightFile(
                file="flan-t5-tokenizer.json",
                sha256="fe2ebbbbde2985be723e0ce18217853e4020c5e9d35bd07be2c27ab9d3ead57a",
                size=2_424_064,
                layout="t5-tokens",
                offers="the tokeniser of CLIP-FlanT5",
                licence="Apache-2.0",
                urls=(hub_url("google/flan-t5-base", _FLANT5_BASE_REVISION, "tokenizer.json"),),
            ),
        ),
    ),
)
"""What a picture is judged against its prompt with."""
