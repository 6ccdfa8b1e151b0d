"""Pictures from label maps of real photos (`segmentation_to_image@1`, segmentation-to-image).

One item of ADE20K: `annotations/validation/ADE_val_00000001.png`, 683 x 512 pixels of the classes sky, building, tree,
road, grass, sidewalk and earth, brought to 512 x 512 and shown in the benchmark's colours, role `segmentation`. With a
caption where one is known (`-t captions=FILE`), and of COCO-Stuff's photos the first of captions_val2017.json.

Protocol: ControlNet++'s. Official scorer: liming-ai/ControlNet_Plus_Plus, `eval/eval_ade20k.sh` and
`eval_cocostuff.sh`, at 9ffe264. A
segmenter that was trained on the same classes reads the answer, and its reading is compared with the map:

    miou[...]            mean over classes of intersection by union, both summed over all answers; a class that neither
                         the maps nor the readings hold is left out of the mean, as mmsegmentation has it
    pixel_accuracy[...]  share of the labelled pixels that are read as labelled
    clip_score[openai-vit-b16]   100 max(cos, 0) of answer and caption; only where captions are known
    fid                  clean-fid's, of the answers against the photos

Pixels without a label (0 in ADE20K's files, 255 in COCO-Stuff's) take no part. Who reads:

    ade20k        mask2former-swin-l-ade: facebook/mask2former-swin-large-ade-semantic by transformers, at a revision.
                  ControlNet++ uses mmsegmentation's training of the same architecture: other weights, another number
    coco-stuff    deeplabv3-r101-coco-stuff: mmsegmentation's DeepLabV3 R101-D8 of COCO-Stuff 164k, ControlNet++'s own
    blocksworld   blocksworld-oracle: what the oracle reads, as blocksworld_segmentation has it

Choices that move the numbers, all in the protocol: photo and map are brought to 512 x 512 (`-t size=`; `native`), the
map by the nearest label; an answer of another size by Pillow's bicubic filter. `-t map=` says how the map is shown:
`colours`, the benchmark's own, which is what ControlNets are trained on (ADE20K's default); or `ids`, the class in the
red channel, 255 where there is none, its names beside it (the default of COCO-Stuff, for whose 171 classes there is no
agreed set of colours: mmsegmentation's gives the same colour to several).

Pitfalls. Label maps saved as JPEG are refused: the first numbers of ControlNet++ were wrong for that. Two classes of
ADE20K are called screen. COCO-Stuff's files hold 182 labels, of which 11 never occur: 171 classes are counted. The
sceneparsing demo divides by all 150 classes of ADE20K even where few occur, so on a handful of photos it gives far less
for the same reading. The ceiling is the segmenter on the photos themselves, `-m oracle`, not 1. ControlNet++'s settings
are asked for by `--gen guidance=7.5 --gen steps=20 --gen negative_prompt="worst quality, low quality"`, `--repeats 4`.

Anchors, mIoU x 100 as published in tables that follow ControlNet++: ADE20K: ControlNet SD1.5 32.55, T2I-Adapter 12.61,
GLIGEN 23.78, UniControl 25.44, Uni-ControlNet 19.39, OmniGen 44.23, ControlNet++ 43.64. COCO-Stuff: ControlNet 27.46,
ControlNet++ 34.56.

Data: ADE20K's scene parsing (`--data ade20k`, 2,000 photos), COCO-Stuff (`--data coco-stuff`, 5,000), blocksworld, or
ControlNet++'s own captioned ADE20K (`--data hf:limingcv/Captioned_ADE20K@COMMIT -t split=validation`).
Source: Li et al. 2024, arXiv:2404.07987; Zhou et al. 2016, arXiv:1608.05442; Caesar et al. 2016, arXiv:1612.03716.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.errors import DataError, UsageError, nearest
from evalkit.features.encoder import encoder
from evalkit.features.planes import Annotator, BytePlane
from evalkit.images import pixels
from evalkit.interfaces import AnyMetric, DataCard, Scored
from evalkit.keys import digest
from evalkit.metrics.distribution import distribution_metric
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.metrics.pictures.segmentation import Classes, SegmentationMetric
from evalkit.metrics.pictures.similarity import TextSimilarity
from evalkit.types import Image, Json, JsonScalar, LabelMap, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import NAME as BLOCKSWORLD_NAME
from evalkit_tasks.blocksworld.held_out import data_fields, embedded, held_out_pictures
from evalkit_tasks.blocksworld.segmenter import OracleSegmenter
from evalkit_tasks.blocksworld_segmentation import CLASS_NAMES, PROMPT, mapped_sample
from evalkit_tasks.caption_sets import DEMO
from evalkit_tasks.label_sets import (
    LABEL_SETS,
    LabelSet,
    class_names,
    colour_picture,
    label_part,
    read_labels,
    resized_labels,
)
from evalkit_tasks.labelled_photos import LabelledPhoto, places_in, read_labelled
from evalkit_tasks.options import one_of
from evalkit_tasks.sample_task import MadeSamples, SampleTask
from evalkit_tasks.shown import named_picture, shown_images
from evalkit_tasks.structure_to_image import CLIP, PROTOCOL, asked_side, caption_of

NAME = "segmentation_to_image@1"


@dataclass(frozen=True, slots=True)
class Maps:
    """Photos with label maps, and how they are shown: side in pixels (None: their own) and whether in colours."""

    labels: LabelSet
    photos: tuple[LabelledPhoto, ...]
    side: int | None
    colours: bool


def segmentation_to_image(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on the label maps that the workspace names.

    Raises:
        UsageError: other data, or an option has no such value.
        DataError: the data are missing or malformed.
    """
    name = workspace.data or _default(workspace)
    if name == "blocksworld":
        return _on_blocksworld(workspace, options)
    if name.startswith("hf:"):
        return _from_hub(workspace, name, options)
    if name not in LABEL_SETS:
        raise UsageError(f"no data named {name!r}{nearest(name, (*LABEL_SETS, 'blocksworld', 'hf:REPO@REVISION'))}")
    labels = LABEL_SETS[name]
    directory = workspace.data_dir or workspace.datasets / name
    file = options.get("captions")
    photos = read_labelled(directory, labels, Path(file) if file else None)
    here = replace(workspace, data=name, data_dir=directory)
    maps = Maps(labels, photos, asked_side(options, here), _in_colours(options, labels))
    stamps = () if len(photos) == labels.count else (f"{len(photos):,} of the {labels.count:,} photos",)
    return _task(here, maps, DataCard(f"{name} val", "", labels.licence, stamps), bool(file))


def _from_hub(workspace: Workspace, name: str, options: Mapping[str, str]) -> SampleTask:
    from evalkit_tasks.parquet_labels import hub_photos

    labels = LABEL_SETS["ade20k"]
    found = hub_photos(workspace, name[3:], options.get("split", ""))
    here = replace(workspace, data=name, data_dir=None)
    maps = Maps(labels, found.photos, asked_side(options, here), _in_colours(options, labels))
    card = DataCard(f"{found.source.name} {found.split}", "", "see the dataset's card", found.source.stamps)
    return _task(here, maps, card, named_captions=False)


def _default(workspace: Workspace) -> str:
    for name, labels in LABEL_SETS.items():
        if places_in(workspace.data_dir or workspace.datasets / name, labels):
            return name
    if workspace.data_dir is not None:
        raise DataError(f"{workspace.data_dir} holds none of {', '.join(LABEL_SETS)}; name one of them with --data")
    workspace.progress.say(
        f"no label maps in {workspace.datasets}: using the embedded blocksworld, and stamping its numbers as {DEMO} "
        f"({'; '.join(f'{name}: {labels.how}' for name, labels in LABEL_SETS.items())})"
    )
    return "blocksworld"


def _in_colours(options: Mapping[str, str], labels: LabelSet) -> bool:
    shown = one_of(options, "map", ("colours", "ids") if labels.colours else ("ids", "colours"))
    if shown == "colours" and not labels.colours:
        raise UsageError(f"-t map=colours: {labels.name} has no colours that are agreed on; leave it at ids")
    return shown == "colours"


def _task(workspace: Workspace, maps: Maps, described: DataCard, named_captions: bool) -> SampleTask:
    labels, photos = maps.labels, maps.photos
    captioned = sum(bool(photo.caption) for photo in photos)
    if captioned not in {0, len(photos)}:
        missing = next(photo.id for photo in photos if not photo.caption)
        raise DataError(
            f"{len(photos) - captioned:,} of {len(photos):,} photos have no caption, the first being {missing}"
        )
    if named_captions and not captioned:
        raise DataError(
            f"-t captions= names no photo of {labels.name}, such as {photos[0].id}; name the file of its photos"
        )
    listed: list[Json] = [[photo.id, photo.caption, photo.labels_file] for photo in photos]
    card = replace(described, digest=digest(listed))
    fields: dict[str, JsonScalar] = {
        "data": card.name,
        "data_digest": card.digest,
        "photos": len(photos),
        "prompt": "the map, the caption" if captioned else "the map, no words",
        "map": "colours" if maps.colours else "ids",
        "size": maps.side or "native",
    }
    segmenter = segmenter_of(labels.segmenter, workspace)
    metrics = _metrics(workspace, fields, segmenter, Classes(tuple(enumerate(labels.names))), maps, bool(captioned))
    samples = MadeSamples(len(photos), lambda places: _samples(maps, places, workspace))
    settings: dict[str, JsonScalar] = {"width": maps.side, "height": maps.side} if maps.side else {}
    return SampleTask(workspace, NAME, "segmentation-to-image", card, samples, metrics, settings)


def _metrics(
    workspace: Workspace,
    fields: Mapping[str, JsonScalar],
    segmenter: Annotator,
    classes: Classes,
    maps: Maps,
    captioned: bool,
) -> tuple[AnyMetric, ...]:
    clip = TextSimilarity(workspace, encoder(workspace, CLIP), "clip_score", caption_of, "", 100.0, 0.0)
    return (
        SegmentationMetric(PROTOCOL, fields, workspace, segmenter, asked_labels, classes),
        *((ScoreMetric(PROTOCOL, fields, clip),) if captioned else ()),
        distribution_metric(workspace, "clean-fid", [photo.photo for photo in maps.photos], fields, ("fid",)),
    )


def segmenter_of(name: str, workspace: Workspace) -> Annotator:
    """Return the segmenter of that name, which a `LabelSet` gives."""
    if name.startswith("mask2former"):
        from evalkit.features.mask2former import Mask2Former

        return Mask2Former(workspace)
    from evalkit.features.deeplab import DeepLab

    return DeepLab(workspace)


def asked_labels(scored: Scored) -> BytePlane:
    """Return the label map `(H, W)` that a sample asks for.

    Raises:
        DataError: it has none.
    """
    for part in (*scored.sample.parts, *scored.sample.references):
        if isinstance(part, LabelMap):
            return pixels(part.image)[:, :, 0]
    raise DataError(f"sample {scored.sample.id!r} has no label map")


def _samples(maps: Maps, places: Sequence[int], workspace: Workspace) -> list[Sample]:
    chosen = [maps.photos[place] for place in places]
    photos = shown_images([named_picture(f"photo {photo.id}", photo.photo) for photo in chosen], workspace)
    return [_sample(maps, photo, image) for photo, image in zip(chosen, photos, strict=True)]


def _sample(maps: Maps, photo: LabelledPhoto, image: Image) -> Sample:
    labels = read_labels(photo.labels, f"the label map of {photo.id}", maps.labels)
    height, width = labels.shape
    if (width, height) != (image.width, image.height):
        raise DataError(
            f"photo {photo.id} has {image.width} x {image.height} pixels and its label map {width} x {height}; "
            "fetch both from one source"
        )
    if maps.side:
        labels = resized_labels(labels, maps.side, maps.side)
    asked = label_part(labels, class_names(maps.labels))
    words = (Text(photo.caption),) if photo.caption else ()
    if maps.colours:
        return Sample(photo.id, (colour_picture(labels, maps.labels.colours), *words), (asked, image), (), photo.id)
    return Sample(photo.id, (asked, *words), (image,), (), photo.id)


def _on_blocksworld(workspace: Workspace, options: Mapping[str, str]) -> SampleTask:
    if options.get("size", "native") != "native" or options.get("map", "ids") != "ids" or options.get("captions"):
        raise UsageError(
            "blocksworld's maps are asked as ids at their own size and without words; leave the options out"
        )
    here = embedded(workspace)
    pictures = held_out_pictures(here)
    fields = {**data_fields(PROMPT), "photos": len(pictures), "map": "ids", "size": "native"}
    classes = Classes(tuple(CLASS_NAMES.items()), ("stratum",))
    photos = [picture.picture for picture in pictures]
    metrics: tuple[AnyMetric, ...] = (
        SegmentationMetric(PROTOCOL, fields, here, OracleSegmenter(), asked_labels, classes),
        distribution_metric(here, "clean-fid", photos, fields, ("fid",)),
    )
    card = DataCard(BLOCKSWORLD_NAME, str(fields["data_digest"]), "Apache-2.0", (DEMO,))
    samples = tuple(map(mapped_sample, pictures))
    return SampleTask(here, NAME, "segmentation-to-image", card, samples, metrics)
