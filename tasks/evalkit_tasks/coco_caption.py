"""COCO captioning by the coco-caption evaluation (`coco_caption@1`, captioning).

One item of val2017: photo 000000397133.jpg, with the references

    A man is in a kitchen making pizzas.
    Man in apron standing on front of oven with pans and bakeware
    A baker is working in the kitchen rolling dough.
    A person standing by a stove in a kitchen.
    A table with pies being made and a person standing near a wall with pots and pans hanging on the wall.

The model is shown the photo with the words `Provide a one-sentence caption for the provided image.` (`-t prompt=`), and
its caption is compared with all of the photo's captions.

Data. Karpathy's test split (5,000 photos of val2014), which the field reports on, where one of its files is at hand:
dataset_coco.json, or caption_datasets.zip with it, or coco_karpathy_test.json and its _gt file, beside val2014; else
val2014 or val2017 (`--data coco -t split=`), a hub dataset (`--data hf:REPO@REVISION`), or the embedded blocksworld,
which is stamped. Annotations CC BY 4.0; the photos under their Flickr terms.

Protocol `coco-caption`: what pycocoevalcap 1.2 (tylin/coco-caption) computes. Choices that move the number:

    data                        which split; a part of it is stamped
    prompt                      what the model was told
    tokeniser                   Stanford's PTBTokenizer 3.4.1, lower case, less coco-caption's punctuation
    variant                     "CIDEr" of coco-caption is CIDEr-D: clipped counts, a length penalty of sigma 6, x 10
    document_frequency          of the references of the photos that are scored, by digest: CIDEr of a subset is
                                another number, of one photo it is 0
    reference_length            BLEU takes the closest reference's; corpus BLEU, not a mean of sentences
    n_images                    how many photos were scored

METEOR is the last line of its jar: the corpus score of pooled statistics, not a mean. METEOR and SPICE need Java, and
SPICE 384.5 MB of models. `clipscore[openai-vit-b32]` and `refclipscore[openai-vit-b32]` (protocol `clipscore`) compare
the caption with the photo, the second with the references too, by CLIP, whose weights are 354 MB. Where any of this is
missing the other scores are made and the report says what is missing; `--metrics` that names a score makes it an error
before anything is generated, after trying to fetch the weights.

Anchors, fine-tuned on COCO, Karpathy test: Oscar-base BLEU-4 40.5, CIDEr 137.6, Oscar-large 41.7 and 140.0
(arXiv:2004.06165). Zero-shot CIDEr: Flamingo-9B 79.4, CM3Leon-7B 61.6 (arXiv:2309.02591). Published tables show these
values times 100. The evaluation's own example (1,000 photos of val2014): BLEU .579 .404 .279 .191, METEOR .195, ROUGE-L
.396, CIDEr .600, SPICE .133, CLIPScore .528, RefCLIPScore .605.

Pitfalls. A caption of several sentences loses BLEU and CIDEr-D to length. val2017 and Karpathy's test split do not
compare. With `--limit` CIDEr-D is another number, as its protocol says. CLIPScore is published from 16 bits on a GPU;
here it is of 32, and differs in the fourth digit.

Source: Chen et al. 2015, arXiv:1504.00325; Vedantam et al. 2015, arXiv:1411.5726; Karpathy and Fei-Fei 2015,
arXiv:1412.2306; Hessel et al. 2021, arXiv:2104.08718. Official scorers: tylin/coco-caption at 3a9afb2, in Python 3
salaniz/pycocoevalcap at ad63453 (v1.2); `clipscore.py` of jmhessel/clipscore at 1036465.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from evalkit.workspace import Workspace
from evalkit_tasks.caption_sets import choose
from evalkit_tasks.caption_task import CaptionTask
from evalkit_tasks.coco import holds_karpathy
from evalkit_tasks.prompts import CAPTION_PROMPTS, chosen_prompt
from evalkit_tasks.sources import coco_directory

NAME = "coco_caption@1"


def coco_caption(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> CaptionTask:
    """Return the task on the data that the workspace names.

    Raises:
        UsageError: an option has no such value.
        DataError: the data are missing or malformed.
    """
    prompt = chosen_prompt(options, CAPTION_PROMPTS)
    if workspace.data is None and holds_karpathy(coco_directory(workspace)):
        workspace = replace(workspace, data="karpathy")
    choice = choose(workspace, options)
    return CaptionTask(choice.workspace, NAME, choice.captions, prompt)
