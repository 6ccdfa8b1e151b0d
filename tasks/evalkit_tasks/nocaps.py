"""nocaps, captions of photos with objects that COCO's captions lack (`nocaps@1`, captioning).

One item of val: photo 0013ea2087020901.jpg (id 0), with ten references, among them

    A baby is standing in front of a house.
    A little girl in a white jacket and sandals.
    A young child stands in front of a house.

The model is shown the photo with the words `Provide a one-sentence caption for the provided image.` (`-t prompt=`).

Data, as downloaded from nocaps.org into one folder (`--data-dir`): nocaps_val_4500_captions.json (4,500 photos of Open
Images, ten captions each) and the photos as val or images, or a zip of that name; or a hub dataset
(`--data hf:REPO@REVISION`), which lacks the domains. The captions of test are on a server only and are not read.
CC BY 2.0.

Protocol `coco-caption`, and `clipscore` of CLIPScore and RefCLIPScore: see `coco_caption`, also for what is left out
where Java or weights are missing. Choices that move the number: the prompt, the document frequencies (those of the
photos that are scored), and

    cider[domain=...]    CIDEr-D within the 648 in-domain, 2,938 near-domain and 914 out-domain photos, each with the
                         document frequencies of its own references, as the evaluation server takes them one by one

Anchors. The server's tables are of test and so no anchor for val; published values are 100 times those here.

Pitfalls. Ten references make BLEU higher than COCO's five. CIDEr of all is no mean of the domains'. Photos are large.

Source: Agrawal et al. 2019, arXiv:1812.08658. Official scorers: salaniz/pycocoevalcap at ad63453 (v1.2); `clipscore.py`
of jmhessel/clipscore at 1036465.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from evalkit.workspace import Workspace
from evalkit_tasks.caption_task import CaptionTask, captioned
from evalkit_tasks.coco import CaptionSet, set_digest, subset_stamps, with_pictures
from evalkit_tasks.coco_json import Strict, official_captions, parsed
from evalkit_tasks.prompts import CAPTION_PROMPTS, chosen_prompt
from evalkit_tasks.question_task import picture_stores, required_document

NAME = "nocaps@1"
LICENCE = "CC BY 2.0"
IMAGES = 4_500
FOLDERS = ("val", "images")
_GET = "https://nocaps.org/download"


class _Image(Strict):
    id: int
    domain: str


class _Images(Strict):
    images: list[_Image]


def nocaps(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> CaptionTask:
    """Return the task on the data that the workspace names.

    Raises:
        UsageError: an option has no such value.
        DataError: the data are missing or malformed.
    """
    prompt = chosen_prompt(options, CAPTION_PROMPTS)
    here, captions = captioned(workspace, options, "nocaps", _official)
    return CaptionTask(here, NAME, captions, prompt, by=("domain",))


def _official(directory: Path, split: str) -> CaptionSet:
    document = required_document(directory, "nocaps_val_4500_captions.json", None, _GET)
    listed = official_captions(document.content, document.where, "val")
    held = parsed(TypeAdapter(_Images), document.content, document.where, "the captions of nocaps with their domains")
    domains = {image.id: image.domain for image in held.images}
    store = picture_stores((directory,), FOLDERS, _GET)[0]
    photos = with_pictures(listed, [store] * len(listed), [photo.file for photo in listed], document.where)
    told = tuple(replace(photo, strata=(("domain", domains[photo.id]),)) for photo in photos)
    stamps = subset_stamps("nocaps val", len(listed), IMAGES)
    return CaptionSet("nocaps val", "val", told, set_digest(document.content, listed), LICENCE, stamps)
