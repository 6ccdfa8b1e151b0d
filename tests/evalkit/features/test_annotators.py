"""Networks that map pictures: small random ones in their official layouts, against the libraries' own forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image as PillowImage
from safetensors.torch import save_file
from timm.models.resnet import Bottleneck, ResNet
from torch import nn
from torch.nn import functional

from evalkit.downloads import file_sha256
from evalkit.errors import DataError, WeightsError
from evalkit.features.annotation import WeightedAnnotator
from evalkit.features.deeplab import DeepLab, DeepLabShape
from evalkit.features.depth import UNUSED, Depth, DptShape
from evalkit.features.hed import DEPTHS, WIDTHS, Hed, hed_shapes
from evalkit.features.mask2former import Mask2Former, semantic_scores
from evalkit.features.mask2former_network import Mask2FormerShape
from evalkit.weight_files import Layout, Weight, WeightFile
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like

State = Mapping[str, torch.Tensor]
Table = Mapping[str, Weight]
Stored = Callable[[str, Layout, State], tuple[Workspace, Table]]


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Puts tensors into the weight folder under a name, as a layout packs them, and gives a table that names them."""
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()

    def put(name: str, layout: Layout, state: State) -> tuple[Workspace, Table]:
        path = tmp_path / "weights" / "file.bin"
        if layout == "safetensors":
            save_file({key: value.contiguous() for key, value in state.items()}, path)
        else:
            torch.save({"meta": {"epoch": 1}, "state_dict": dict(state)} if layout == "mmseg" else dict(state), path)
        file = WeightFile(path.name, file_sha256(path)[:8], path.stat().st_size, layout, "maps", "none", about=True)
        return Workspace(cache=tmp_path / "cache", offline=True), {name: Weight(name, "random", (file,))}

    return put


class Block(nn.Module):
    """One block of HED under its official names."""

    def __init__(self, into: int, width: int, depth: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(nn.Conv2d(into if i == 0 else width, width, 3, padding=1) for i in range(depth)))
        self.projection = nn.Conv2d(width, 1, 1)


class OfficialHed(nn.Module):
    """HED's network under its official names."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.randn(1, 3, 1, 1) * 20 + 110)
        into = 3
        for number, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), start=1):
            self.add_module(f"block{number}", Block(into, width, depth))
            into = width

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        x, sides = picture - self.norm, []
        for number in range(1, 6):
            block = self.get_submodule(f"block{number}")
            assert isinstance(block, Block)
            x = nn.MaxPool2d(2)(x) if number > 1 else x
            for conv in block.convs:
                x = nn.ReLU()(conv(x))
            sides.append(nn.Upsample(picture.shape[2:], mode="bilinear")(block.projection(x)))
        return 1 / (1 + torch.exp(-sum(sides) / 5))


def test_hed_gives_the_edges_of_its_network(stored: Stored) -> None:
    torch.manual_seed(0)
    network = OfficialHed()
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == hed_shapes()
    workspace, table = stored("controlnet-hed", "controlnet-hed", network.state_dict())
    picture = photo_like(1, 37, 50)
    with torch.inference_mode():
        planes = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].float()
        expected = (network(planes)[0, 0] * 255).clip(0, 255).to(torch.uint8).numpy()
    found = Hed(workspace, table).plane(picture)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert len(np.unique(found)) > 5


def test_hed_refuses_pictures_that_it_cannot_halve_and_other_networks(stored: Stored) -> None:
    torch.manual_seed(0)
    state = dict(OfficialHed().state_dict())
    workspace, table = stored("controlnet-hed", "controlnet-hed", state)
    with pytest.raises(DataError, match="at least 16 pixels, not 15 x 40"):
        Hed(workspace, table).plane(photo_like(1, 40, 15))
    del state["block5.projection.bias"]
    workspace, table = stored("controlnet-hed", "controlnet-hed", state)
    with pytest.raises(WeightsError, match=r"lacks the tensor block5\.projection\.bias"):
        Hed(workspace, table).plane(photo_like(1, 32, 32))


SMALL_DPT = DptShape(64, 32, 4, 2, 37, (0, 1, 2, 3), (16, 16, 32, 32), 16)


def _dpt() -> transformers.DPTForDepthEstimation:
    torch.manual_seed(2)
    shape = SMALL_DPT
    config = transformers.DPTConfig(
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.hidden,
        backbone_out_indices=list(shape.taken),
        neck_hidden_sizes=list(shape.neck),
        fusion_hidden_size=shape.fusion,
        image_size=shape.side,
    )
    network = transformers.DPTForDepthEstimation(config).eval()
    for value in network.parameters():
        nn.init.normal_(value, std=0.2)
    nn.init.constant_(network.head.head[4].bias, 3.0)
    return network


def test_depth_is_that_of_the_library_divided_by_its_largest_value(stored: Stored) -> None:
    """The published file leaves out what the first fusion never uses."""
    network = _dpt()
    state = {name: value for name, value in network.state_dict().items() if not name.startswith(UNUSED)}
    assert len(state) == len(network.state_dict()) - 4
    workspace, table = stored("dpt-large", "safetensors", state)
    ours = Depth(workspace, table, SMALL_DPT)
    picture = photo_like(4, 90, 120)
    processor = transformers.DPTImageProcessorPil(
        size={"height": 64, "width": 64}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    given = processor(images=PillowImage.fromarray(picture), return_tensors="pt")["pixel_values"]
    np.testing.assert_allclose(ours.inputs(picture).numpy(), given.numpy(), atol=1e-5)
    with torch.inference_mode():
        depth = network(given).predicted_depth[0].numpy()
    levels = (depth / depth.max() * 255).astype(np.uint8)
    expected = PillowImage.fromarray(levels).resize((120, 90), PillowImage.Resampling.BILINEAR)
    found = ours.plane(picture)
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1
    assert len(np.unique(found)) > 5
    assert found.shape == (90, 120)


def test_a_network_without_a_tensor_or_of_another_size_is_refused(stored: Stored) -> None:
    state = dict(_dpt().state_dict())
    workspace, table = stored("dpt-large", "safetensors", state)
    with pytest.raises(WeightsError, match="another architecture"):
        Depth(workspace, table, DptShape(64, 32, 4, 2, 41, (0, 1, 2, 3), (16, 16, 32, 32), 16)).plane(
            photo_like(1, 9, 9)
        )
    del state["head.head.4.bias"]
    workspace, table = stored("dpt-large", "safetensors", state)
    with pytest.raises(WeightsError, match=r"the first being head\.head\.4\.bias"):
        Depth(workspace, table, SMALL_DPT).plane(photo_like(1, 9, 9))


SMALL_MASK2FORMER = Mask2FormerShape(
    short_side=64,
    long_side=100,
    classes=7,
    embedding=12,
    depths=(1, 1, 1, 1),
    heads=(1, 1, 2, 2),
    window=4,
    pretrained_side=64,
    features=32,
    pixel_layers=1,
    decoder_layers=2,
    decoder_heads=2,
    feedforward=16,
    pixel_feedforward=16,
    queries=10,
)


def _mask2former() -> transformers.Mask2FormerForUniversalSegmentation:
    torch.manual_seed(5)
    small = SMALL_MASK2FORMER
    backbone = transformers.SwinConfig(
        image_size=64,
        embed_dim=small.embedding,
        depths=list(small.depths),
        num_heads=list(small.heads),
        window_size=small.window,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=16,
        num_queries=10,
        num_labels=7,
    )
    return transformers.Mask2FormerForUniversalSegmentation(config).eval()


def test_mask2former_reads_the_classes_that_the_library_reads(stored: Stored) -> None:
    network = _mask2former()
    workspace, table = stored("mask2former-swin-l-ade", "safetensors", network.state_dict())
    ours = Mask2Former(workspace, table, SMALL_MASK2FORMER)
    processor = transformers.Mask2FormerImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 100})
    picture = photo_like(6, 80, 110)
    given = processor(images=PillowImage.fromarray(picture), return_tensors="pt")["pixel_values"]
    np.testing.assert_allclose(ours.inputs(picture).numpy(), given.numpy(), atol=1e-5)
    with torch.inference_mode():
        told = network(given)
    expected = processor.post_process_semantic_segmentation(told, target_sizes=[(80, 110)])[0].numpy()
    found = ours.plane(picture)
    assert (found == expected).mean() > 0.999
    assert found.shape == (80, 110)


def test_masks_become_classes_as_the_library_has_it() -> None:
    random = torch.Generator().manual_seed(3)
    classes = torch.randn((1, 10, 8), generator=random) * 3
    masks = torch.randn((1, 10, 40, 60), generator=random) * 3
    told = transformers.models.mask2former.modeling_mask2former.Mask2FormerForUniversalSegmentationOutput(
        class_queries_logits=classes, masks_queries_logits=masks
    )
    processor = transformers.Mask2FormerImageProcessorPil()
    expected = processor.post_process_semantic_segmentation(told, target_sizes=[(80, 110)])[0]
    assert len(expected.unique()) > 3
    assert torch.equal(semantic_scores(classes, masks, (80, 110)).argmax(dim=1)[0], expected)


def test_a_class_s_score_is_the_sum_of_its_queries_masks() -> None:
    """Two queries: one sure of class 1 with its mask on the left, one sure of class 0 with its mask on the right."""
    classes = torch.tensor([[[-30.0, 30.0, -30.0], [30.0, -30.0, -30.0]]])
    left = torch.cat([torch.full((4, 2), 30.0), torch.full((4, 2), -30.0)], dim=1)
    scores = semantic_scores(classes, torch.stack([left, -left])[None], (4, 4))
    assert scores.argmax(dim=1)[0].tolist() == [[1, 1, 0, 0]] * 4


SMALL_DEEPLAB = DeepLabShape((1, 2, 2, 2), 48, 96)


class Head(nn.Module):
    """mmsegmentation's ASPP head under its official names, without its auxiliary head."""

    def __init__(self, into: int, width: int, classes: int) -> None:
        super().__init__()
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), _conv(into, width, 1, 1))
        self.aspp_modules = nn.ModuleList([_conv(into, width, 1 if d == 1 else 3, d) for d in (1, 12, 24, 36)])
        self.bottleneck = _conv(5 * width, width, 3, 1)
        self.conv_seg = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = functional.interpolate(self.image_pool(x), x.shape[2:], mode="bilinear")
        joined = self.bottleneck(torch.cat([pooled, *(each(x) for each in self.aspp_modules)], 1))
        logits: torch.Tensor = self.conv_seg(joined)
        return logits


def _conv(into: int, width: int, kernel: int, dilation: int) -> nn.Sequential:
    module = nn.Sequential()
    padding = 0 if kernel == 1 else dilation
    module.add_module("conv", nn.Conv2d(into, width, kernel, padding=padding, dilation=dilation, bias=False))
    module.add_module("bn", nn.BatchNorm2d(width))
    module.add_module("activate", nn.ReLU())
    return module


def _deeplab() -> tuple[nn.Module, nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(7)
    backbone = ResNet(
        Bottleneck,  # type: ignore[arg-type]  # timm's own hint names an instance
        SMALL_DEEPLAB.blocks,
        num_classes=0,
        global_pool="",
        output_stride=8,
        stem_width=4,
        stem_type="deep",
        channels=(4, 6, 8, 10),
    ).eval()
    head = Head(40, 12, 9).eval()
    for module in (*backbone.modules(), *head.modules()):
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    state = {}
    for name, value in backbone.state_dict().items():
        part, _, rest = name.partition(".")
        state[f"backbone.{ {'conv1': 'stem', 'bn1': 'stem.7'}.get(part, part) }.{rest}"] = value
    state |= {f"decode_head.{name}": value for name, value in head.state_dict().items()}
    state["auxiliary_head.conv_seg.weight"] = torch.zeros(9, 4, 1, 1)
    return backbone, head, state


def test_deeplab_reads_what_its_backbone_and_head_give(stored: Stored) -> None:
    backbone, head, state = _deeplab()
    workspace, table = stored("deeplabv3-r101-coco-stuff", "mmseg", state)
    ours = DeepLab(workspace, table, SMALL_DEEPLAB)
    picture = photo_like(8, 48, 72)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    planes = ((torch.from_numpy(picture).float() - mean) / std).permute(2, 0, 1)[None]
    np.testing.assert_allclose(ours.inputs(picture).numpy(), planes.numpy(), atol=1e-5)
    with torch.inference_mode():
        logits = head(backbone(planes))
    assert logits.shape == (1, 9, 6, 9)
    np.testing.assert_allclose(ours.logits(planes).numpy(), logits.numpy(), rtol=1e-4, atol=1e-4)
    expected = functional.interpolate(logits, (48, 72), mode="bilinear").argmax(1)[0].numpy()
    assert (ours.plane(picture) == expected).mean() > 0.999
    assert len(np.unique(expected)) > 1


def test_deeplab_sees_a_shorter_side_of_its_own_and_gives_the_map_at_the_picture_s_size(stored: Stored) -> None:
    _, _, state = _deeplab()
    workspace, table = stored("deeplabv3-r101-coco-stuff", "mmseg", state)
    ours = DeepLab(workspace, table, SMALL_DEEPLAB)
    assert ours.inputs(photo_like(1, 24, 30)).shape == (1, 3, 48, 60)
    assert ours.inputs(photo_like(1, 24, 96)).shape == (1, 3, 24, 96)
    assert ours.plane(photo_like(1, 24, 30)).shape == (24, 30)
    del state["decode_head.conv_seg.bias"]
    workspace, table = stored("deeplabv3-r101-coco-stuff", "mmseg", state)
    with pytest.raises(WeightsError, match=r"lacks the tensor 'decode_head\.conv_seg\.bias'"):
        DeepLab(workspace, table, SMALL_DEEPLAB).plane(photo_like(1, 24, 30))


def test_a_partly_published_digest_is_made_whole_by_what_is_found(stored: Stored, tmp_path: Path) -> None:
    _, _, state = _deeplab()
    workspace, table = stored("deeplabv3-r101-coco-stuff", "mmseg", state)
    whole = file_sha256(tmp_path / "weights" / "file.bin")
    ours = DeepLab(workspace, table)
    assert ours.protocol_fields["annotator_weights"] == whole
    stored("deeplabv3-r101-coco-stuff", "mmseg", {**state, "more": torch.zeros(1)})
    with pytest.raises(WeightsError, match=f"instead of {whole[:8]}"):
        DeepLab(workspace, table).prepare()


@pytest.mark.parametrize("kind", [Hed, Depth, Mask2Former, DeepLab])
def test_missing_weights_say_file_size_digest_licence_and_where(kind: type[WeightedAnnotator], tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as error:
        kind(Workspace(cache=tmp_path, offline=True)).prepare()
    for said in ("SHA-256", "from https://", "put one of these into", "Apache" if kind is not Mask2Former else "other"):
        assert said.lower() in str(error.value).lower()


@pytest.mark.parametrize("lacking", ["choices", "plane"])
def test_an_annotator_that_does_not_say_its_choices_or_make_a_map_cannot_be_made(lacking: str, tmp_path: Path) -> None:
    """Else its protocol would lack what moves its maps, or it would fail after everything is generated."""
    own = {name: member for name, member in vars(Hed).items() if name in {"name", "code_version", "choices", "plane"}}
    assert type("Whole", (WeightedAnnotator,), own)(Workspace(cache=tmp_path)).name == "controlnet-hed"
    del own[lacking]
    with pytest.raises(TypeError, match=f"abstract.*{lacking}"):
        type("Lacking", (WeightedAnnotator,), own)(Workspace(cache=tmp_path))
