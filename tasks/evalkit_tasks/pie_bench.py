"""PIE-Bench: edits of 700 pictures of ten kinds, with the region that may change (`pie_bench@1`, text-guided-editing).

One item of `mapping_file.json`, with its picture `annotation_images/0_random_140/000000000000.jpg`:

    "000000000000": {"image_path": "0_random_140/000000000000.jpg",
        "original_prompt": "a slanted mountain bicycle on the road in front of a building",
        "editing_prompt": "a slanted [rusty] mountain bicycle on the road in front of a building",
        "editing_instruction": "Make the frame of the bike rusty", "editing_type_id": "0", "mask": [0, 262144, ...]}

Protocol. The model is shown the picture and told the instruction. An answer of another size is brought to that of the
source, bicubic. The mask, runs of start and length over 512 x 512, has its border set to 1, as the official code has
it.

    structure_distance[dino-vitb8]   mean squared difference of the cosine self-similarities of DINO's keys (layer 11,
                                     at 224), of whole pictures, fed as 0 to 255 and normalised as if 0 to 1
    psnr, mse, ssim, lpips[squeeze]  with the source, both multiplied by what lies outside the mask: the black inside
                                     counts in every mean
    clip_whole[openai-vit-l14]       100 max(cos, 0) with the editing prompt, its brackets removed
    clip_edited[openai-vit-l14]      the same of the answer multiplied by the mask

Where the mask is the whole picture the four background numbers are not asked; each says its own n. Official scorer:
cure-lab/PnPInversion at f480116, `evaluation/evaluate.py` and `matrics_calculator.py`. It reads the last 512 columns of
a strip of pictures: give evalkit the picture alone. PSNR of an unchanged background is infinite; such answers are left
out of its mean, whose n says so, where torchmetrics makes the whole mean infinite.

Pitfalls. The official repository has no licence file: treat the data as restricted. Tables give structure x 1e3, LPIPS
x 1e3, MSE x 1e4 and SSIM x 100.

Anchors, structure / PSNR / LPIPS / MSE / SSIM / CLIP whole / edited, in those units (SwiftEdit's and others' tables):
DDIM + P2P 69.43 / 17.87 / 208.80 / 219.88 / 71.14 / 25.01 / 22.44; Null-text + P2P 13.44 / 27.03 / 60.67 / 35.86 /
84.11 / 24.75 / 21.86; DDIM + MasaCtrl 28.38 / 22.17 / 106.62 / 86.97 / 79.67 / 23.96 / 21.16; Direct Inversion + PnP
24.29 / 22.46 / 106.1 / 80.45 / 79.68 / 25.41 / 22.62; Direct Inversion + P2P 11.65 / 27.22 / 54.55 / - / - / 25.02 / -.

Data: PIE-Bench_v1 of cure-lab/PnPInversion, `mapping_file.json` with `annotation_images/` beside it. Source: Ju et al.
2023, arXiv:2310.01506; structure distance of Tumanyan et al. 2022, arXiv:2201.00424.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evalkit.errors import DataError
from evalkit.features.backbones import IMAGENET_MEAN, IMAGENET_STD
from evalkit.features.encoder import Encoder, encoder
from evalkit.features.lpips import Lpips
from evalkit.features.pictures import FilePicture
from evalkit.images import Pixels, image_of, pixels
from evalkit.interfaces import Scored
from evalkit.json_values import a_list, a_text, a_whole_number, an_object
from evalkit.metrics.means import Fields, Measure, Tally
from evalkit.metrics.pictures.pixelwise import PerceptualDistance, PixelDifference, sized_like
from evalkit.metrics.pictures.scores import Score, ScoreMetric, answered_picture
from evalkit.metrics.pictures.similarity import TextSimilarity
from evalkit.types import Image, Json
from evalkit.workspace import Workspace
from evalkit_tasks.edit_sets import (
    EditTurn,
    choose_edits,
    edit_sample,
    read_json,
    read_picture,
    source_of,
    target_caption_of,
)
from evalkit_tasks.sample_task import SampleTask

NAME = "pie_bench@1"
PROTOCOL = "pie-bench"
LICENCE = "none given: treat as restricted"
HOW = "get PIE-Bench_v1 by the form of cure-lab/PnPInversion"
MASK_SIDE = 512
STRATA = ("edit_type",)
TYPES = (
    *("random", "change object", "add object", "delete object", "change content", "change pose"),
    *("change colour", "change material", "change background", "change style"),
)
"""What `editing_type_id` counts."""

Inside = npt.NDArray[np.bool_]


def pie_bench(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on PIE-Bench, or on blocksworld's edits.

    Raises:
        UsageError: other data are asked for.
        DataError: the data are missing or malformed.
    """
    masks: dict[str, Inside] = {}

    def reader(directory: Path) -> tuple[EditTurn, ...]:
        return read_pie(directory, masks)

    edits = choose_edits(workspace, "pie_bench", reader, lambda d: (d / "mapping_file.json").is_file(), LICENCE, HOW)
    for turn in edits.turns:
        if turn.mask is not None:
            masks[turn.id] = pixels(read_picture(turn.mask, f"the mask of edit {turn.id}"))[:, :, 0] >= 128
    samples = tuple(edit_sample(replace(turn, target=None)) for turn in edits.turns)
    fields = {"data": edits.card.name, "data_digest": edits.card.digest, "prompt": "the instruction"}
    metrics = tuple(ScoreMetric(PROTOCOL, fields, score) for score in _scores(edits.workspace, masks))
    return SampleTask(edits.workspace, NAME, "text-guided-editing", edits.card, samples, metrics)


def _scores(workspace: Workspace, masks: Mapping[str, Inside]) -> tuple[Score, ...]:
    clip = encoder(workspace, "openai-vit-l14")
    lpips = Lpips(workspace, "squeeze")

    def background(of: Callable[[Scored], Image]) -> Callable[[Scored], Image]:
        return lambda scored: masked(of(scored), source_of(scored), ~masks[scored.sample.id])

    def edited(scored: Scored) -> Image:
        return masked(answered_picture(scored), source_of(scored), masks[scored.sample.id])

    answer, source = background(answered_picture), background(source_of)
    against = "source outside the mask, the rest black"
    kept: tuple[Score, ...] = (
        PixelDifference("psnr", source, against, STRATA, answer),
        PixelDifference("l2", source, against, STRATA, answer, "mse"),
        PixelDifference("ssim", source, against, STRATA, answer),
        PerceptualDistance(workspace, lpips, source, against, STRATA, answer),
    )
    return (
        StructureDistance(encoder(workspace, "dino-vitb8")),
        *(Outside(score, masks) for score in kept),
        TextSimilarity(workspace, clip, "clip_whole", target_caption_of, "", 100.0, 0.0, STRATA),
        TextSimilarity(workspace, clip, "clip_edited", target_caption_of, "", 100.0, 0.0, STRATA, edited),
    )


def masked(picture: Image, like: Image, inside: Inside) -> Image:
    """Return `picture` at the size of `like`, black where `inside` `(H, W)` is not."""
    sized = sized_like(pixels(picture), pixels(like))
    if inside.shape != sized.shape[:2]:
        raise DataError(f"a mask of {inside.shape} does not fit its picture of {sized.shape[:2]}; fetch the set again")
    return image_of(sized * inside[:, :, None].astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Outside:
    """A score of what lies outside the mask, not asked where nothing does."""

    score: Score
    masks: Mapping[str, Inside]

    @property
    def measure(self) -> Measure:
        """That of the score."""
        return self.score.measure

    def prepare(self) -> None:
        """Find what the score needs.

        Raises:
            WeightsError: it cannot be had.
        """
        self.score.prepare()

    def fields(self) -> Fields:
        """Return the score's own."""
        return self.score.fields()

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return the score's tallies, those of full masks not asked."""
        asked = [one for one in scored if not self.masks[one.sample.id].all()]
        found = dict(zip((one.sample.id for one in asked), self.score.tallies(asked) if asked else (), strict=True))
        return [found.get(one.sample.id, Tally(0.0, 0.0)) for one in scored]


@dataclass(frozen=True, slots=True)
class StructureDistance:
    """How far the self-similarities of DINO's keys are apart between source and answer."""

    dino: Encoder
    strata: tuple[str, ...] = STRATA

    @property
    def measure(self) -> Measure:
        """Its name, with its backbone."""
        return Measure(f"structure_distance[{self.dino.name}]", "distance", higher_is_better=False, by=self.strata)

    def prepare(self) -> None:
        """Find the weights.

        Raises:
            WeightsError: they cannot be had.
        """
        self.dino.prepare()

    def fields(self) -> Fields:
        """Return the encoder's choices, those of its input replaced."""
        own = {"encoder_resize": "bilinear, antialias, 224 squash", "encoder_range": "0 to 255 normalised as x/255"}
        return {**self.dino.protocol_fields, **own, "compared_with": "source"}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's distance."""
        return [Tally(self._of(one)) for one in scored]

    def _of(self, scored: Scored) -> float:
        source = pixels(source_of(scored))
        answer = sized_like(pixels(answered_picture(scored)), source)
        return structure_distance(self.dino.keys(raw_planes(source))[0], self.dino.keys(raw_planes(answer))[0])


def raw_planes(picture: Pixels) -> npt.NDArray[np.float32]:
    """Return planes `(1, 3, 224, 224)` of a picture as the official code feeds them: 0 to 255, then normalised."""
    import torch
    from torch.nn import functional

    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32))[None]
    planes = functional.interpolate(planes, size=(224, 224), mode="bilinear", align_corners=False, antialias=True)
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    found: npt.NDArray[np.float32] = ((planes - mean) / std).numpy()
    return found


def structure_distance(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Return the mean squared difference of the cosines between all keys of `a` `(T, W)` and between all of `b`.

    >>> keys = np.array([[1, 0], [0, 1]], np.float32)
    >>> structure_distance(keys, np.array([[1, 0], [1, 0]], np.float32))
    0.5
    """
    return float(np.square(_self_similarity(a) - _self_similarity(b)).mean())


def _self_similarity(keys: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    doubles = keys.astype(np.float64)
    length = np.linalg.norm(doubles, axis=1)
    similarity: npt.NDArray[np.float64] = doubles @ doubles.T / np.maximum(np.outer(length, length), 1e-8)
    return similarity


def read_pie(directory: Path, masks: dict[str, Inside]) -> tuple[EditTurn, ...]:
    """Return the items of `mapping_file.json` in `directory`, and put the mask of each into `masks`.

    Raises:
        DataError: a file is missing or malformed.
    """
    turns = []
    for name, entry in an_object(read_json(directory / "mapping_file.json")).items():
        try:
            item = an_object(entry)
            turn = _item(directory, name, item)
            masks[turn.id] = decoded_mask([a_whole_number(value) for value in a_list(item["mask"])])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            where = directory / "mapping_file.json"
            raise DataError(f"{where}: item {name} is malformed ({error!r}); fetch the set again") from error
        turns.append(turn)
    return tuple(turns)


def _item(directory: Path, name: str, item: Mapping[str, Json]) -> EditTurn:
    file = a_text(item["image_path"])
    if ".." in file.split("/") or file.startswith("/") or "\\" in file:
        raise ValueError(f"{file!r} leaves its folder")
    return EditTurn(
        name,
        1,
        FilePicture(directory / "annotation_images" / file),
        a_text(item["editing_instruction"]),
        source_caption=_plain(a_text(item["original_prompt"])),
        target_caption=_plain(a_text(item["editing_prompt"])),
        kind=TYPES[int(a_text(item["editing_type_id"]))],
    )


def _plain(prompt: str) -> str:
    return prompt.replace("[", "").replace("]", "")


def decoded_mask(runs: Sequence[int], side: int = MASK_SIDE) -> Inside:
    """Return the mask `(side, side)` of runs `start, length, ...`, its border set, as the official code sets it.

    >>> decoded_mask([5, 2], 4).astype(int).tolist()
    [[1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    """
    if len(runs) % 2 or any(run < 0 for run in runs):
        raise ValueError("a mask is pairs of start and length")
    flat = np.zeros(side * side, np.bool_)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        flat[start : start + length] = True
    inside = flat.reshape(side, side)
    inside[[0, -1], :] = True
    inside[:, [0, -1]] = True
    return inside
