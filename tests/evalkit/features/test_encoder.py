"""CLIP and DINO: small random ones in the official layouts, against open_clip's and transformers' own forward."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import transformers
from open_clip.model import CLIPTextCfg, CLIPVisionCfg, convert_weights_to_lp
from open_clip.transform import image_transform
from torchvision import transforms

from evalkit.downloads import file_sha256
from evalkit.errors import WeightsError
from evalkit.features.backbones import BACKBONES, Backbone, EncoderInput
from evalkit.features.cache import FeatureCache
from evalkit.features.encoder import Encoder, encoder, unit
from evalkit.features.encoder_input import encoder_input
from evalkit.features.vit_tensors import tower
from evalkit.images import image_of
from evalkit.weight_files import Layout, Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like

TOKENS = "clip-merges"
TEXTS = ["a photo of a cat", "", "It's 3 o'clock &amp; the CAFÉ's closed!!  twice\n\n", "word " * 100, "日本 🙂 naïve"]


@pytest.fixture(scope="session")
def merges() -> Path:
    """The list of merges, which open_clip ships."""
    return Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"


def _table(name: str, path: Path, layout: Layout) -> Mapping[str, Weight]:
    file = WeightFile(path.name, file_sha256(path), path.stat().st_size, layout, "features", "none")
    return {name: Weight(name, "a small random one", (file,)), TOKENS: WEIGHTS[TOKENS]}


def _small(name: str, size: int, dim: int, head: int) -> Backbone:
    """The named backbone at another size of picture and vector."""
    real = BACKBONES[name]
    inputs = dataclasses.replace(real.inputs, size=size, short_side=size + size // 7)
    return dataclasses.replace(real, dim=dim, inputs=inputs, head=head)


def _encoder(
    folder: Path, state: Mapping[str, torch.Tensor], small: Backbone, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> Encoder:
    path = folder / "weights.bin"
    torch.save(dict(state), path)
    monkeypatch.setenv("EVALKIT_WEIGHTS_" + small.weight.replace("-", "_").upper(), str(path))
    return Encoder(Workspace(cache=folder / "cache"), small, _table(small.weight, path, layout))


@pytest.fixture
def openai_file(tmp_path: Path) -> tuple[Path, open_clip.CLIP]:
    """A small random CLIP as OpenAI stores one, TorchScript in 16 bits, with the model that it was made of."""
    torch.manual_seed(3)
    vision = CLIPVisionCfg(layers=2, width=64, head_width=32, patch_size=8, image_size=32)
    text = CLIPTextCfg(context_length=77, vocab_size=49408, width=64, heads=2, layers=2)
    model = open_clip.CLIP(48, vision, text, quick_gelu=True).eval()
    convert_weights_to_lp(model)
    script = torch.jit.trace_module(_Holder(model), {"forward": torch.zeros(1)})  # type: ignore[no-untyped-call]
    path = tmp_path / "ViT.pt"
    script.save(str(path))
    return path, model.float()


class _Holder(torch.nn.Module):
    """Holds a CLIP's tensors under OpenAI's names, with the sizes that OpenAI keeps beside them."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.register_buffer("input_resolution", torch.tensor(32))
        for name, value in model.state_dict().items():
            *path, last = name.split(".")
            place: torch.nn.Module = self
            for step in path:
                if not hasattr(place, step):
                    place.add_module(step, torch.nn.Module())
                place = getattr(place, step)
            place.register_parameter(last, torch.nn.Parameter(value, requires_grad=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_openai_layout_gives_open_clip_s_vectors(
    openai_file: tuple[Path, open_clip.CLIP], tmp_path: Path, merges: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, model = openai_file
    monkeypatch.setenv("EVALKIT_WEIGHTS_CLIP_OPENAI_VIT_B32", str(path))
    monkeypatch.setenv("EVALKIT_WEIGHTS_CLIP_MERGES", str(merges))
    small = _small("openai-vit-b32", 32, 48, 32)
    small = dataclasses.replace(small, inputs=dataclasses.replace(small.inputs, short_side=32))
    ours = Encoder(Workspace(cache=tmp_path), small, _table(small.weight, path, "clip-openai"))
    pixels = [photo_like(seed, height, width) for seed, (height, width) in enumerate([(40, 60), (33, 32), (200, 90)])]
    preprocess = image_transform((32, 32), is_train=False)
    from PIL import Image as PillowImage

    with torch.inference_mode():
        batch = torch.stack([preprocess(PillowImage.fromarray(p)) for p in pixels])
        theirs = model.encode_image(batch).numpy()
        words = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(TEXTS)).numpy()
    np.testing.assert_allclose(ours.pictures([image_of(p) for p in pixels]), theirs, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(ours.texts(TEXTS), words, rtol=2e-4, atol=2e-5)


def test_transformers_layout_gives_its_clip_s_vectors(
    tmp_path: Path, merges: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(4)
    config = transformers.CLIPConfig(
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 16,
            "hidden_act": "quick_gelu",
        },
        text_config={
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "hidden_act": "quick_gelu",
            "vocab_size": 49408,
            "eos_token_id": 49407,
        },
        projection_dim=48,
    )
    model = transformers.CLIPModel(config).eval()
    monkeypatch.setenv("EVALKIT_WEIGHTS_CLIP_MERGES", str(merges))
    small = _small("openai-vit-b32", 32, 48, 32)
    ours = _encoder(tmp_path, model.state_dict(), small, "clip-transformers", monkeypatch)
    pixels = photo_like(1, 50, 70)
    ids = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    planes = torch.from_numpy(encoder_input(pixels, small.inputs))[None]
    with torch.inference_mode():
        picture = model.visual_projection(model.vision_model(pixel_values=planes).pooler_output).numpy()
        text = model.text_projection(model.text_model(input_ids=ids).pooler_output).numpy()
    np.testing.assert_allclose(ours.pictures([image_of(pixels)]), picture, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(ours.texts(TEXTS), text, rtol=2e-4, atol=2e-5)


def test_dino_of_transformers_layout_gives_its_class_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    config = transformers.ViTConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=96,
        image_size=32,
        patch_size=8,
        layer_norm_eps=1e-6,
    )
    model = transformers.ViTModel(config, add_pooling_layer=False).eval()
    small = _small("dino-vits16", 32, 64, 32)
    state = {_published_vit_name(name): value for name, value in model.state_dict().items()}
    ours = _encoder(tmp_path, state, small, "vit-transformers", monkeypatch)
    pixels = photo_like(2, 50, 70)
    with torch.inference_mode():
        planes = torch.from_numpy(encoder_input(pixels, small.inputs))[None]
        theirs = model(pixel_values=planes).last_hidden_state[:, 0].numpy()
    np.testing.assert_allclose(ours.pictures([image_of(pixels)]), theirs, rtol=2e-4, atol=2e-5)


def _published_vit_name(name: str) -> str:
    """The name that the published file has for a tensor; newer transformers rename them when they load it."""
    for new, old in (
        ("layers.", "encoder.layer."),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ):
        if new == "layers." and not name.startswith("layers."):
            continue
        name = name.replace(new, old)
    return name


def test_dino_layout_gives_timm_s_class_token_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(6)
    model = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=2, num_classes=0, init_values=0.5
    ).eval()
    small = _small("dinov2-vits14", 32, 64, 32)
    ours = _encoder(tmp_path, model.state_dict(), small, "dino", monkeypatch)
    pixels = photo_like(3, 90, 70)
    held: list[torch.Tensor] = []
    model.get_submodule("blocks.1.attn.qkv").register_forward_hook(lambda _module, _into, out: held.append(out))
    with torch.inference_mode():
        planes = encoder_input(pixels, small.inputs)[None]
        theirs = model(torch.from_numpy(planes)).numpy()
    np.testing.assert_allclose(ours.pictures([image_of(pixels)]), theirs, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(ours.keys(planes), held[0][:, :, 64:128].numpy(), rtol=2e-4, atol=2e-5)


def test_dinov2_s_positions_fit_its_own_grid_when_asked_at_224(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(7)
    model = VisionTransformer(img_size=518, patch_size=14, embed_dim=32, depth=1, num_heads=1, num_classes=0).eval()
    small = dataclasses.replace(BACKBONES["dinov2-vits14"], dim=32, head=32)
    state = dict(model.state_dict())
    state["pos_embed"] = torch.ones_like(state["pos_embed"])
    ours = _encoder(tmp_path, state, small, "dino", monkeypatch)
    direct = VisionTransformer(img_size=224, patch_size=14, embed_dim=32, depth=1, num_heads=1, num_classes=0).eval()
    direct.load_state_dict({**state, "pos_embed": torch.ones(1, 257, 32)})
    pixels = photo_like(4, 300, 260)
    with torch.inference_mode():
        theirs = direct(torch.from_numpy(encoder_input(pixels, small.inputs))[None]).numpy()
    np.testing.assert_allclose(ours.pictures([image_of(pixels)]), theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "short"), [("openai-vit-b32", 224), ("openai-vit-l14-336", 336), ("dino-vits16", 256)]
)
@pytest.mark.parametrize("size", [(40, 60), (300, 200), (427, 640), (224, 224), (225, 600)])
def test_input_is_torchvision_s_on_pillow(name: str, short: int, size: tuple[int, int]) -> None:
    from PIL import Image as PillowImage

    pixels = photo_like(8, *size)
    inputs = BACKBONES[name].inputs
    theirs = transforms.Compose(
        [
            transforms.Resize(short, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(inputs.size),
            transforms.ToTensor(),
            transforms.Normalize(inputs.mean, inputs.std),
        ]
    )(PillowImage.fromarray(pixels))
    np.testing.assert_allclose(encoder_input(pixels, inputs), theirs.numpy(), atol=1e-6)


def test_squash_is_instruct_pix2pix_s_resize_with_its_shifted_range() -> None:
    pixels = photo_like(9, 64, 96)
    right = EncoderInput("squash-torch", 32, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    shifted = dataclasses.replace(right, shifted=True)
    # x of the right range is 2 x - 1 of the shifted one, before both are normalised alike.
    back = encoder_input(pixels, right) * 0.25 + 0.5
    np.testing.assert_allclose(encoder_input(pixels, shifted) * 0.25 + 0.5, back * 2 - 1, atol=1e-5)


def test_shared_vectors_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(6)
    model = VisionTransformer(img_size=32, patch_size=8, embed_dim=64, depth=1, num_heads=2, num_classes=0)
    small = _small("dino-vits16", 32, 64, 32)
    picture = image_of(photo_like(1, 40, 40))
    with FeatureCache(tmp_path / "features") as cache:
        first = _encoder(tmp_path, model.state_dict(), small, "dino", monkeypatch)
        made = first.pictures([picture, picture], cache)
        again = Encoder(Workspace(cache=tmp_path / "cache"), small, first._table)
        assert np.array_equal(again.pictures([picture], cache)[0], made[0])
        assert "_tower" not in again.__dict__, "a vector in the cache loads no network"
        assert np.array_equal(made[0], made[1])


def test_weights_that_are_nowhere_say_file_size_digest_licence_and_where(tmp_path: Path) -> None:
    wanted = encoder(Workspace(cache=tmp_path, offline=True), "openai-vit-l14-336")
    with pytest.raises(WeightsError) as raised:
        wanted.prepare()
    text = str(raised.value)
    for part in ("ViT-L-14-336px.pt", "934,088,680 bytes", "3035c92b3509", "MIT", "https://", "EVALKIT_WEIGHTS_CLIP"):
        assert part in text


def test_other_architecture_is_an_error_that_names_the_tensor() -> None:
    with pytest.raises(WeightsError, match=r"visual\.conv1\.weight"):
        tower({}, "clip-openai", "picture", "the file")


def test_unit_rows_have_length_one_and_zeros_stay() -> None:
    rows = unit(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(rows, np.array([[0.6, 0.8], [0.0, 0.0]]), atol=1e-7)


def test_the_pinned_merges_are_those_that_open_clip_ships(merges: Path) -> None:
    assert file_sha256(merges) == WEIGHTS[TOKENS].files[0].sha256
