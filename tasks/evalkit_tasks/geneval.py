"""GenEval: whether objects, counts, colours and places are as the prompt says (`geneval@1`, text-to-image).

One item of the 553 of `evaluation_metadata.jsonl`:

    {"tag": "color_attr", "include": [{"class": "wine glass", "count": 1, "color": "purple"},
     {"class": "apple", "count": 1, "color": "black"}], "prompt": "a photo of a purple wine glass and a black apple"}

The model is asked four times for a picture of the prompt, as it stands, each time with another seed (`-t pictures=`). A
detector with masks finds objects in the picture, CLIP their colours, and the picture is right or it is not:
`geneval_judging.py` and `geneval_colours.py` have the rule.

    geneval[DETECTOR]          mean of the six task means, as the official summary has it
    single_object[DETECTOR]    80 prompts, and two_object 99, counting 80, colors 94, position 100, color_attr 100:
                               the share of right pictures

Protocol `geneval`. Choices that move the number:

    detector      official: mmdetection's Mask2Former Swin-S, panoptic. Here `mask2former-swin-s-hf`, the same network
                  trained for instances by its authors, at revision f77f179f of facebook/mask2former-swin-small-coco-
                  instance: NOT the official file. Its name stands in each number's name. `-t detector=` takes a box
                  detector in its place (fasterrcnn-resnet50-fpn-v2, yolo11n-onnx): then colours are told of whole boxes
    thresholds    scores above .3, counting above .9; at most 16 objects a class; no suppression; a margin of .1
    colour        openai CLIP ViT-L/14, three texts a colour, on the object over #999, in 32 bits
    pictures      4 a prompt; the interval is clustered by prompt

Where CLIP is missing, all but `geneval`, `colors` and `color_attr` can be made with `--metrics`. Without prompts at
hand blocksworld's captions are asked, judged by its analytic oracle: `geneval[oracle]`, stamped. A caption there can be
of several of the six kinds, and relations are judged by `blocksworld/composition.py`.

Anchors, by the official detector, overall and single, two, counting, colors, position, color_attr (arXiv:2310.11513):
SD1.5 .43 (.97 .38 .35 .76 .04 .06), SD2.1 .50 (.98 .51 .44 .85 .07 .17), SDXL .55 (.98 .74 .39 .85 .15 .23), IF-XL .61
(.97 .74 .66 .81 .13 .35), minDALL-E .23, CLIP retrieval .35.

Pitfalls. Rewritten prompts and other detectors raise scores: neither compares with these. Pictures in another style
than photos are found less. One picture a prompt has the same mean and a wider interval.

Official scorer: djghosh13/geneval, `evaluation/evaluate_images.py` and `summary_scores.py`, at af4902f. Data: its
`prompts/` (MIT). Source: Ghosh et al. 2023, arXiv:2310.11513.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from evalkit.errors import UsageError, nearest
from evalkit.features.detections import COCO_CATEGORIES
from evalkit.features.detector import detector
from evalkit.features.detectors import DETECTORS
from evalkit.features.encoder import encoder
from evalkit.features.segmenter import MASK2FORMER, BoxSegmenter, Mask2Former, Segmenter
from evalkit.interfaces import DataCard, Scored
from evalkit.keys import digest
from evalkit.metrics.means import MeanMetric, Tally
from evalkit.types import Json, JsonScalar, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import asked_caption, data_fields, embedded, held_out_pictures
from evalkit_tasks.blocksworld.judging import JUDGE, JUDGE_VERSION
from evalkit_tasks.blocksworld.judging import geneval as oracle_judgement
from evalkit_tasks.blocksworld.parser import claims_of
from evalkit_tasks.blocksworld.task import answered_reading
from evalkit_tasks.caption_sets import DEMO
from evalkit_tasks.geneval_judging import TAGS, class_names
from evalkit_tasks.geneval_metric import PROTOCOL, GenEvalMetric, measures
from evalkit_tasks.geneval_prompts import COUNTS, LICENCE, read_items
from evalkit_tasks.options import one_of, whole_number
from evalkit_tasks.sample_task import SampleTask
from evalkit_tasks.sources import GENEVAL, geneval_directory

NAME = "geneval@1"
PICTURES = 4
KNOWN = ("geneval", "blocksworld")
ORACLE = "oracle"


def geneval(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on the official prompts, or on blocksworld's captions.

    Raises:
        UsageError: other data are asked for, or an option has no such value.
        DataError: the prompts are asked for and missing, or malformed.
    """
    directory = geneval_directory(workspace)
    asked = workspace.data or (
        "geneval" if workspace.data_dir or (directory / GENEVAL.name).is_file() else "blocksworld"
    )
    pictures = whole_number(options, "pictures", PICTURES)
    if asked == "geneval":
        return _official(replace(workspace, data=asked, data_dir=directory), options, pictures)
    if asked != "blocksworld":
        raise UsageError(f"no data named {asked!r}{nearest(asked, KNOWN)}")
    if workspace.data is None:
        workspace.progress.say(
            f"no {GENEVAL.name} in {directory}: using the embedded blocksworld's captions, and stamping its numbers as "
            f"{DEMO} (`evalkit fetch geneval` gets the official prompts)"
        )
    one_of(options, "detector", (ORACLE,))
    return _drawn(embedded(workspace), pictures)


def _official(workspace: Workspace, options: Mapping[str, str], pictures: int) -> SampleTask:
    items = read_items(geneval_directory(workspace) / GENEVAL.name, class_names(COCO_CATEGORIES))
    samples, by_sample = [], {}
    for number, item in enumerate(items):
        for picture in range(pictures):
            sample = f"{number:05d}-{picture}"
            by_sample[sample] = item
            strata = (("tag", item.tag),)
            samples.append(Sample(sample, (Text(item.prompt),), (), strata, f"{number:05d}"))
    listed: list[Json] = [[item.tag, item.prompt, repr((item.included, item.excluded))] for item in items]
    counts = {tag: sum(item.tag == tag for item in items) for tag in TAGS}
    stamps = [] if counts == dict(COUNTS) else [f"{len(items):,} of the {sum(COUNTS.values())} prompts"]
    if pictures != PICTURES:
        stamps.append(f"{pictures} instead of {PICTURES} pictures a prompt")
    card = DataCard("geneval", digest(listed), LICENCE, tuple(stamps))
    fields = {**_fields(card.name, card.digest, pictures), "prompts": len(items)}
    clip = encoder(workspace, "openai-vit-l14")
    metric = GenEvalMetric(fields, workspace, _segmenter(workspace, options), clip, by_sample)
    return SampleTask(workspace, NAME, "text-to-image", card, tuple(samples), (metric,))


def _fields(data: str, data_digest: str, pictures: int) -> dict[str, JsonScalar]:
    return {"data": data, "data_digest": data_digest, "prompt": "as it stands", "pictures_per_prompt": pictures}


def _segmenter(workspace: Workspace, options: Mapping[str, str]) -> Segmenter:
    chosen = one_of(options, "detector", (MASK2FORMER, *DETECTORS))
    return Mask2Former(workspace) if chosen == MASK2FORMER else BoxSegmenter(detector(workspace, chosen))


def _drawn(workspace: Workspace, pictures: int) -> SampleTask:
    samples = []
    for shown in held_out_pictures(workspace):
        kind, caption = asked_caption(shown)
        for number in range(pictures):
            strata = (*shown.strata, ("caption_kind", kind))
            samples.append(
                Sample(f"{shown.id}-{caption.id}-{number}", (Text(caption.text),), (), strata, str(shown.id))
            )
    data = data_fields("one of the five captions, drawn by image id, as it stands")
    card = DataCard("blocksworld captions", str(data["data_digest"]), "Apache-2.0", (DEMO,))
    fields = {**_fields(card.name, card.digest, pictures), "judge": JUDGE, "judge_version": JUDGE_VERSION}
    metric = MeanMetric(PROTOCOL, fields, measures(ORACLE), _judged)
    return SampleTask(workspace, NAME, "text-to-image", card, tuple(samples), (metric,))


def _judged(scored: Scored) -> dict[str, Tally]:
    """Return the oracle's judgement of one picture, by GenEval's tasks as far as its caption is of them."""
    (prompt,) = (part.text for part in scored.sample.parts if isinstance(part, Text))
    found = oracle_judgement(claims_of(prompt), answered_reading(scored))
    by_tag = (found.single, found.two, found.counting, found.colours, found.position, found.colour_attribution)
    return {tag: Tally(float(right)) for tag, right in zip(TAGS, by_tag, strict=True) if right is not None}
