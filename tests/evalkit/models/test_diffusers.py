"""Laws of the diffusers backend, with pipelines that the library saved and photos of COCO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image as PillowImage

from evalkit.errors import UsageError, WeightsError
from evalkit.images import image_of, pixels
from evalkit.models.diffusers import PipelineModel, diffusers_model
from evalkit.types import Image as Picture
from evalkit.types import ImageRole, Mask, Request, Text
from evalkit.workspace import Workspace

from .asking import answers, failure, photos, picture, request
from .checkpoint_files import save_controlnet, save_diffusion

Build = Callable[..., PipelineModel]
SIDE = 32


@pytest.fixture
def build(tmp_path: Path, diffusion: Path) -> Build:
    def built(folder: Path = diffusion, **options: str) -> PipelineModel:
        return diffusers_model(Workspace(cache=tmp_path / "cache"), str(folder), options)

    return built


@pytest.fixture
def sources(shared_data: Path) -> list[Picture]:
    """Photos of COCO, brought to the size of the small pipelines."""
    small = [PillowImage.fromarray(pixels(photo)).resize((SIDE, SIDE)) for photo in photos(shared_data, 6)]
    return [image_of(np.asarray(one), "source") for one in small]


def prompts(count: int) -> list[Request]:
    """Wishes of several lengths, in four steps each."""
    words = ("a red ring", "two blue squares on a gray background, seen from above", "nothing")
    made = [request("text-to-image", Text(f"{words[i % 3]} {i}"), seed=i, sample=str(i)) for i in range(count)]
    return [replace(one, steps=4) for one in made]


def edits(sources: list[Picture]) -> list[Request]:
    made = [request("text-guided-editing", photo, Text("make it blue"), seed=i) for i, photo in enumerate(sources)]
    return [replace(one, steps=4) for one in made]


def digests(model: PipelineModel, requests: list[Request]) -> list[str]:
    return [picture(found).digest for found in answers(model, requests)]


def test_the_picture_is_what_the_library_itself_draws(build: Build, diffusion: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(diffusion, safety_checker=None, requires_safety_checker=False)
    wish = replace(prompts(1)[0], guidance=5.0, negative_prompt="blue", width=48, height=32)
    assert isinstance(wish.parts[0], Text)
    (drawn,) = pipe(
        wish.parts[0].text,
        num_inference_steps=4,
        guidance_scale=5.0,
        negative_prompt="blue",
        width=48,
        height=32,
        generator=torch.Generator().manual_seed(wish.seed),
    ).images
    (found,) = answers(build(), [wish])
    assert np.array_equal(pixels(picture(found)), np.asarray(drawn))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 9},
        {"steps": 5},
        {"guidance": 2.0},
        {"negative_prompt": "ring"},
        {"width": 48, "height": 32},
        {"parts": (Text("x"),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_knob_changes_the_picture(build: Build, change: Mapping[str, object]) -> None:
    (wish,) = prompts(1)
    changed = replace(wish, **change)  # type: ignore[arg-type]  # the names above are fields
    first, second = digests(build(), [wish, changed])
    assert first != second


@pytest.mark.parametrize("together", ["1", "4"])
def test_a_picture_does_not_depend_on_its_company(build: Build, together: str) -> None:
    wishes, model = prompts(6), build(together=together)
    drawn = digests(model, wishes)
    assert digests(model, wishes[::-1])[::-1] == drawn
    assert [digests(model, [wish])[0] for wish in wishes] == drawn
    assert len(set(drawn)) == len(drawn)


def test_image_to_image_starts_from_the_photo(build: Build, sources: list[Picture]) -> None:
    wishes = edits(sources[:2])
    swapped = [replace(wishes[0], parts=(sources[1], wishes[0].parts[1]))]
    model = build(strength="0.5")
    assert len(set(digests(model, wishes + swapped))) == 3
    assert digests(build(strength="0.9"), wishes) != digests(model, wishes)


def test_a_mask_asks_for_inpainting(build: Build, sources: list[Picture]) -> None:
    white = np.zeros((SIDE, SIDE, 3), np.uint8)
    white[:, SIDE // 2 :] = 255
    (wish,) = edits(sources[:1])
    masked = replace(wish, parts=(*wish.parts, Mask(image_of(white, "mask"))))
    plain, inside = digests(build(), [wish, masked])
    assert plain != inside


def test_an_instruct_edit_pipeline_takes_both_guidances(build: Build, pix2pix: Path, sources: list[Picture]) -> None:
    model = build(pix2pix)
    assert model.capabilities == {"text-guided-editing"}
    (wish,) = edits(sources[:1])
    drawn = digests(model, [wish, replace(wish, guidance=3.0), replace(wish, image_guidance=4.0)])
    assert len(set(drawn)) == 3


@pytest.mark.parametrize(("job", "role"), [("structure-to-image", "edges"), ("segmentation-to-image", "segmentation")])
def test_a_controlnet_follows_the_map(
    build: Build, controlnet: Path, sources: list[Picture], job: str, role: ImageRole
) -> None:
    model = build(controlnet=str(controlnet))
    assert job in model.capabilities
    maps = [replace(source, role=role) for source in sources[:2]]
    wishes = [replace(request(job, one, Text("a ring")), steps=4) for one in maps]
    assert len(set(digests(model, wishes))) == 2


def test_what_a_pipeline_cannot_be_asked_is_a_failure_that_says_so(
    build: Build, pix2pix: Path, sources: list[Picture]
) -> None:
    (wish,), (edit,) = prompts(1), edits(sources[:1])
    odd = [
        (build(), replace(wish, image_guidance=2.0), "StableDiffusionPipeline takes no image_guidance_scale"),
        (build(), replace(wish, temperature=1.0), "temperature=1.0 means nothing to this model for text-to-image"),
        (build(), replace(wish, best_of=8), "best_of=8 means nothing"),
        (build(), replace(wish, width=48), "width=48 and height=None: name both"),
        (build(), replace(edit, parts=(*edit.parts, sources[1])), "takes one image, and the request holds two"),
        (build(pix2pix), replace(edit, width=64, height=64), "takes no width"),
    ]
    for model, request_, complaint in odd:
        found = failure(answers(model, [request_])[0])
        assert found.kind == "malformed"
        assert complaint in found.message


def test_the_scheduler_is_chosen_by_class(build: Build) -> None:
    wishes = prompts(1)
    other = build(scheduler="DDPMScheduler")
    assert digests(other, wishes) != digests(build(), wishes)
    with pytest.raises(UsageError, match="scheduler=Euler does not go with this pipeline; known are"):
        answers(build(scheduler="Euler"), wishes)


def test_an_overwritten_pipeline_or_controlnet_is_another_model(build: Build, tmp_path: Path) -> None:
    folder, net = save_diffusion(tmp_path / "mine"), save_controlnet(tmp_path / "net")
    before, guided = build(folder).identity, build(folder, controlnet=str(net)).identity
    assert build(folder).identity == before != guided
    save_controlnet(net, seed=1)
    assert build(folder, controlnet=str(net)).identity != guided
    save_diffusion(folder, seed=1)
    assert build(folder).identity != before


@pytest.mark.parametrize(
    ("name", "value"),
    [("precision", "bfloat16"), ("together", "2"), ("scheduler", "PNDMScheduler"), ("strength", "0.3")],
)
def test_every_option_that_moves_a_picture_is_in_the_identity(build: Build, name: str, value: str) -> None:
    assert build(**{name: value}).identity != build().identity


def test_pickles_are_refused_unless_asked_for(build: Build, tmp_path: Path) -> None:
    folder = save_diffusion(tmp_path / "mine")
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(pipe.unet.state_dict(), folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model.bin is a pickle.*-a pickle=yes"):
        build(folder)
    assert digests(build(folder, pickle="yes"), prompts(1)) == digests(build(), prompts(1))


def test_a_picture_that_is_not_finite_is_a_failure(build: Build, tmp_path: Path) -> None:
    folder = save_diffusion(tmp_path / "mine")
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    with torch.no_grad():
        pipe.vae.decoder.conv_out.bias.fill_(float("nan"))
    pipe.save_pretrained(folder)
    found = failure(answers(build(folder), prompts(1))[0])
    assert "not finite" in found.message
