"""Flickr30k captioning on Karpathy's test split (`flickr30k_caption@1`, captioning).

One item of test has this form in dataset_flickr30k.json:

    {"filename": "1007129816.jpg", "split": "test", "imgid": ..., "sentences": [{"sentid": ...,
     "raw": "The man with pierced ears is wearing glasses and an orange hat."}, ...], ...}

The model is shown the photo with the words `Provide a one-sentence caption for the provided image.` (`-t prompt=`).

Data in one folder (`--data-dir`): dataset_flickr30k.json, or Karpathy's caption_datasets.zip with it (test: 1,000
photos, five captions each; val: 1,014), and the photos as flickr30k-images or flickr30k-images.zip; or a hub dataset
(`--data hf:REPO@REVISION`). The photos are for research and education only, under Flickr's terms.

Protocol `coco-caption`, and `clipscore` of CLIPScore and RefCLIPScore: see `coco_caption`, also for what is left out
where Java or weights are missing. Choices that move the number: the split, the prompt, the document frequencies of the
photos that are scored.

Anchors: none that was checked against its source. The field's zero-shot numbers are on this split; those of the whole
31,783 photos, which some tools take, do not compare. Published values are 100 times those here.

Pitfalls. CIDEr-D of 1,000 photos has fewer document frequencies than that of COCO's 5,000: the two do not compare.

Source: Young et al. 2014, TACL 2; Karpathy and Fei-Fei 2015, arXiv:1412.2306. Official
scorers: salaniz/pycocoevalcap at ad63453 (v1.2); `clipscore.py` of jmhessel/clipscore at 1036465.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, TypeAdapter

from evalkit.errors import DataError
from evalkit.workspace import Workspace
from evalkit_tasks.caption_task import CaptionTask, captioned
from evalkit_tasks.coco import CaptionSet, set_digest, subset_stamps, with_pictures
from evalkit_tasks.coco_json import Caption, ListedPhoto, Strict, checked, parsed
from evalkit_tasks.prompts import CAPTION_PROMPTS, chosen_prompt
from evalkit_tasks.question_task import picture_stores, required_document

NAME = "flickr30k_caption@1"
LICENCE = "research and education only; photos under Flickr's terms"
IMAGES = {"test": 1_000, "val": 1_014}
FOLDERS = ("flickr30k-images", "flickr30k_images")
_GET = "https://shannon.cs.illinois.edu/DenotationGraph/ (photos) and Karpathy's caption_datasets.zip (captions)"


class _Sentence(Strict):
    raw: str
    sentid: int = Field(ge=0)


class _Image(Strict):
    imgid: int = Field(ge=0)
    filename: str
    split: str
    sentences: list[_Sentence]


class _Images(Strict):
    images: list[_Image]


def flickr30k_caption(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> CaptionTask:
    """Return the task on the data that the workspace names.

    Raises:
        UsageError: an option has no such value.
        DataError: the data are missing or malformed.
    """
    prompt = chosen_prompt(options, CAPTION_PROMPTS)
    here, captions = captioned(workspace, options, "flickr30k", flickr30k_set)
    return CaptionTask(here, NAME, captions, prompt)


def flickr30k_set(directory: Path, split: str) -> CaptionSet:
    """Return one of Karpathy's splits, test for an empty name, its photos found in `directory`.

    Raises:
        DataError: the captions or photos are missing or malformed, or there is no such split.
    """
    split = split or "test"
    document = required_document(directory, "dataset_flickr30k.json", "caption_datasets.zip", _GET)
    file = parsed(TypeAdapter(_Images), document.content, document.where, "Karpathy's dataset_flickr30k.json")
    listed = [_listed(image) for image in file.images if image.split == split]
    if not listed:
        known = ", ".join(sorted({image.split for image in file.images}))
        raise DataError(f"{document.where} has no split {split!r}, only {known or 'no images at all'}")
    checked(listed, document.where)
    store = picture_stores((directory,), FOLDERS, _GET)[0]
    photos = with_pictures(listed, [store] * len(listed), [photo.file for photo in listed], document.where)
    stamps = subset_stamps(f"Karpathy's {split} of Flickr30k", len(listed), IMAGES.get(split))
    return CaptionSet(f"flickr30k {split}", split, photos, set_digest(document.content, listed), LICENCE, stamps)


def _listed(image: _Image) -> ListedPhoto:
    return ListedPhoto(image.imgid, image.filename, tuple(Caption(one.sentid, one.raw) for one in image.sentences))
