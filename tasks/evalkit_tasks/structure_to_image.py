"""Pictures from the structure of a photo: edges or depth, and a caption (`structure_to_image@1`, structure-to-image).

One item of COCO val2017 with the default `-t condition=canny`: the edges of photo 000000000139.jpg at 512 x 512, white
on black, role `edges`, and its first caption,

    A woman stands in the dining area at the table.

Protocol: ControlNet++'s. Official scorer: liming-ai/ControlNet_Plus_Plus, `eval/`, at 9ffe264. The condition is
extracted from the real photo, the model is shown it beside the caption, and it is extracted again from the answer, in
the same way:

    canny_f1                          canny:  F1 of edge pixels, exact places, of each picture, then the mean
    hed_ms_ssim[controlnet-hed]       hed:    MS-SSIM, torchmetrics', of the soft edges of ControlNet's HED
    depth_rmse[dpt-large]             depth:  root mean square difference of the depth maps, in levels of 255
    clip_score[openai-vit-b16]        all:    100 max(cos, 0) of answer and caption, nothing added to it
    fid                               all:    clean-fid's, of the answers against the photos

Choices that move the numbers, all in the protocol: photo and answer are brought to 512 x 512 by Pillow's bicubic filter
without a crop (`-t size=`; `native` keeps the photo's size). Canny is kornia's, thresholds 0.1 and 0.2 of an undivided
Sobel (`evalkit/features/canny.py`). Depth is divided by its largest value in the picture and cut to 8 bits at 384 x
384, then resized bilinearly. F1 of two maps without edges is 0, as torchmetrics has it. The first caption that a photo
has is asked.

Where it differs from the official code: that pools the pixels of four pictures a prompt into one F1, here each picture
has its own (`--repeats 4` makes the four; FID is then that of each repeat, whose mean is the official number). Its
depth maps are those that come with MultiGen-20M, stretched from least to largest; here they are of the photo, by the
network that reads the answer, so that the ceiling is 0. Its captions and photos are MultiGen-20M's: `--data
hf:limingcv/MultiGen-20M_canny_eval@COMMIT -t image_column=image -t caption_column=text`.

Pitfalls. Its settings are asked for by `--gen guidance=7.5 --gen steps=20 --gen negative_prompt="worst quality, low
quality"`. Exact edge places punish a shift of one pixel; an answer made at another size and resized loses F1. OpenCV's
Canny, with thresholds in levels of 255, finds other edges. A picture may have no edge at all: yellow on mint, of equal
brightness, is one on blocksworld, where even the oracle has F1 0. FID needs thousands of pictures.

Anchors, as published in tables that follow ControlNet++, on MultiGen-20M: ControlNet SD1.5 canny F1 34.65, FID 14.73,
CLIP 32.15; HED .7621, 15.41, 32.33; depth RMSE 35.90, 17.76, 32.45. T2I-Adapter canny 23.65, depth 48.40. OmniGen canny
35.54, HED .8237, depth 28.54. PixWizard canny 35.46, depth 33.83. ControlNet++ itself canny 37.04, HED .8097, depth
28.32. The ceiling, `-m oracle`: the photo itself, F1 1 and RMSE 0.

Data: MS-COCO (`--data coco`), a hub dataset, or blocksworld's pictures at their own 64 x 64. Source: Li et al. 2024,
arXiv:2404.07987; Zhang 2023, arXiv:2302.05543; Xie 2015, arXiv:1504.06375; Ranftl 2021, arXiv:2103.13413.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.errors import DataError, UsageError, WeightsError
from evalkit.features.canny import CannyAnnotator
from evalkit.features.encoder import encoder
from evalkit.features.pictures import FilePicture
from evalkit.features.planes import Annotator, made_plane, plane_cache
from evalkit.interfaces import AnyMetric, DataCard, Scored
from evalkit.metrics.distribution import distribution_metric
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.metrics.pictures.similarity import TextSimilarity
from evalkit.metrics.pictures.structure import MapLikeness
from evalkit.types import Image, ImageRole, JsonScalar, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.caption_sets import choose
from evalkit_tasks.coco import CaptionSet, Photo
from evalkit_tasks.options import one_of
from evalkit_tasks.sample_task import MadeSamples, SampleTask
from evalkit_tasks.shown import named_picture, shown_images

NAME = "structure_to_image@1"
PROTOCOL = "controlnet-plus-plus"
CONDITIONS = ("canny", "hed", "depth")
CLIP = "openai-vit-b16"
SIZE = 512
LEAST_FOR_MS_SSIM = 176
SIZES = range(16, 4097)


@dataclass(frozen=True, slots=True)
class Condition:
    """What is extracted, by what, and how two extractions are compared."""

    annotator: Annotator
    role: ImageRole
    label: str
    likeness: str


def condition_of(name: str, workspace: Workspace) -> Condition:
    """Return the condition of that name, one of `CONDITIONS`."""
    if name == "canny":
        return Condition(CannyAnnotator(), "edges", "canny_f1", "f1")
    if name == "hed":
        from evalkit.features.hed import Hed

        hed = Hed(workspace)
        return Condition(hed, "edges", f"hed_ms_ssim[{hed.name}]", "ms_ssim")
    from evalkit.features.depth import Depth

    depth = Depth(workspace)
    return Condition(depth, "depth", f"depth_rmse[{depth.name}]", "rmse")


def structure_to_image(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on the captioned photos that the workspace names.

    Raises:
        UsageError: an option has no such value.
        DataError: the data are missing or malformed.
    """
    name = one_of(options, "condition", CONDITIONS)
    choice = choose(workspace, options)
    here, captions = choice.workspace, choice.captions
    side = asked_side(options, here)
    if name == "hed" and (side or 64 if here.data == "blocksworld" else side or SIZE) < LEAST_FOR_MS_SSIM:
        raise UsageError(f"MS-SSIM needs {LEAST_FOR_MS_SSIM} pixels a side or more; write -t size=512")
    condition = condition_of(name, here)
    photos = tuple(photo for photo in captions.photos if photo.captions)
    if not photos:
        raise DataError(f"{captions.name} has no caption to ask for; choose another split with -t split=")
    strata = ("stratum",) if photos[0].strata else ()
    fields: dict[str, JsonScalar] = {
        "data": captions.name,
        "data_digest": captions.digest,
        "photos": len(photos),
        "condition": name,
        "prompt": "the map, the first caption",
        "size": side or "native",
    }
    score = MapLikeness(here, condition.annotator, condition.label, condition.likeness, strata)
    clip = TextSimilarity(here, encoder(here, CLIP), "clip_score", caption_of, "", 100.0, 0.0, strata)
    metrics: tuple[AnyMetric, ...] = (
        ScoreMetric(PROTOCOL, fields, score),
        ScoreMetric(PROTOCOL, fields, clip),
        distribution_metric(here, "clean-fid", [photo.picture for photo in photos], fields, ("fid",)),
    )
    settings: dict[str, JsonScalar] = {"width": side, "height": side} if side else {}
    samples = MadeSamples(len(photos), lambda places: _samples(photos, places, condition, side, here))
    return SampleTask(here, NAME, "structure-to-image", _card(captions, len(photos)), samples, metrics, settings)


def asked_side(options: Mapping[str, str], workspace: Workspace) -> int | None:
    """Return the side in pixels that photos are brought to, None for their own size.

    It is 512 unless the option `size` says otherwise; blocksworld's pictures keep their own.

    Raises:
        UsageError: it is no such size.
    """
    text = options.get("size") or ("native" if workspace.data == "blocksworld" else str(SIZE))
    if text == "native":
        return None
    if not text.isascii() or not text.isdigit() or int(text) not in SIZES:
        raise UsageError(f"-t size={text} is neither native nor a whole number from {SIZES[0]} to {SIZES[-1]}")
    return int(text)


def caption_of(scored: Scored) -> str:
    """Return the caption that was asked."""
    return next(part.text for part in scored.sample.parts if isinstance(part, Text))


def _card(captions: CaptionSet, asked: int) -> DataCard:
    left = len(captions.photos) - asked
    stamps = (*captions.stamps, f"{left:,} photos without a caption are not asked") if left else captions.stamps
    return DataCard(captions.name, captions.digest, captions.licence, stamps)


def _samples(
    photos: Sequence[Photo], places: Sequence[int], condition: Condition, side: int | None, workspace: Workspace
) -> list[Sample]:
    """Return the samples of some photos: their maps are made, or found where they were made before."""
    chosen = [photos[place] for place in places]
    named = [named_picture(f"photo {photo.id}", photo.picture) for photo in chosen]
    shown = shown_images(named, workspace)
    maps = _maps(chosen, shown, condition, side, workspace)
    return [
        Sample(str(photo.id), (a_map, _caption(photo)), (image,), photo.strata, str(photo.id))
        for photo, image, a_map in zip(chosen, shown, maps, strict=True)
    ]


def _maps(
    photos: Sequence[Photo], shown: Sequence[Image], condition: Condition, side: int | None, workspace: Workspace
) -> list[Image]:
    cache = plane_cache(workspace)
    bar = workspace.progress.bar(f"{condition.annotator.name} of photos", len(shown), "photo")
    files = []
    try:
        for image in shown:
            width, height = (side, side) if side else (image.width, image.height)
            files.append(FilePicture(made_plane(condition.annotator, image, width, height, cache)))
            bar.advance(1)
    except WeightsError as error:
        raise WeightsError(
            f"{error}\nThe condition itself is made with it; -t condition=canny needs no weights"
        ) from error
    finally:
        bar.close()
    named = [named_picture(f"the map of photo {p.id}", file) for p, file in zip(photos, files, strict=True)]
    return [replace(image, role=condition.role) for image in shown_images(named, workspace)]


def _caption(photo: Photo) -> Text:
    return Text(" ".join(photo.captions[0].text.split()))
