"""The held-out sets as COCO, VQAv2 and MagicBrush write theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.images import pixel_digest
from evalkit.types import Json
from evalkit_tasks.blocksworld.captions import captions, full_caption
from evalkit_tasks.blocksworld.draws import Draws
from evalkit_tasks.blocksworld.edits import Edit
from evalkit_tasks.blocksworld.questions import questions
from evalkit_tasks.blocksworld.records import scene_json
from evalkit_tasks.blocksworld.render import PIXELS, render
from evalkit_tasks.blocksworld.scene import Scene, Stratum
from evalkit_tasks.blocksworld.truth import CLASSES, instances

CAPTION_IDS_FROM = 100_000
"""Caption k of image i has id this + 10 i + k, question k has 1000 i + k, and instance k has 10 i + k."""
QUESTIONS_A_SCENE = 4

_LICENCE: dict[str, Json] = {
    "id": 1,
    "name": "Apache License 2.0",
    "url": "https://www.apache.org/licenses/LICENSE-2.0",
}


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A held-out scene; its image id is also its seed."""

    image_id: int
    stratum: Stratum
    scene: Scene

    @property
    def file_name(self) -> str:
        """Name of its picture, as COCO 2017 names them."""
        return f"{self.image_id:012d}.png"


@dataclass(frozen=True, slots=True)
class Session:
    """A chain of edits: the target of each is the source of the next."""

    img_id: int
    edits: tuple[Edit, ...]

    def input_name(self, turn: int) -> str:
        """Name of the picture that turn 1, 2 ... starts from."""
        return f"{self.img_id}-input.png" if turn == 1 else self.output_name(turn - 1)

    def output_name(self, turn: int) -> str:
        """Name of the picture that turn 1, 2 ... ends in."""
        return f"{self.img_id}-output{turn}.png"

    def mask_name(self, turn: int) -> str:
        """Name of the mask of turn 1, 2 ... ."""
        return f"{self.img_id}-mask{turn}.png"


def _info(what: str) -> dict[str, Json]:
    return {
        "description": f"blocksworld held-out {what}",
        "url": "",
        "version": "1.0",
        "year": 2025,
        "contributor": "evalkit",
        "date_created": "2025-01-01 00:00:00",
    }


def _images(scenes: Sequence[HeldOut]) -> list[Json]:
    return [
        {
            "license": 1,
            "file_name": held.file_name,
            "coco_url": "",
            "height": PIXELS,
            "width": PIXELS,
            "date_captured": "2025-01-01 00:00:00",
            "flickr_url": "",
            "id": held.image_id,
        }
        for held in scenes
    ]


def captions_document(scenes: Sequence[HeldOut]) -> dict[str, Json]:
    """Return `captions_val.json`: five captions a picture."""
    annotations: list[Json] = [
        {"image_id": held.image_id, "id": CAPTION_IDS_FROM + 10 * held.image_id + k, "caption": caption}
        for held in scenes
        for k, caption in enumerate(captions(held.scene, held.image_id))
    ]
    return {"info": _info("captions"), "licenses": [_LICENCE], "images": _images(scenes), "annotations": annotations}


def instances_document(scenes: Sequence[HeldOut]) -> dict[str, Json]:
    """Return `instances_val.json`: the visible part of each block; the category is its shape."""
    annotations: list[Json] = []
    for held in scenes:
        for k, instance in enumerate(instances(held.scene)):
            size, counts = instance.rle()
            annotations.append(
                {
                    "segmentation": {"size": list(size), "counts": counts},
                    "area": instance.area,
                    "iscrowd": 0,
                    "image_id": held.image_id,
                    "bbox": list(instance.box),
                    "category_id": CLASSES[instance.block.shape],
                    "id": 10 * held.image_id + k,
                    "attributes": {
                        "color": instance.block.colour,
                        "size": instance.block.size,
                        "texture": instance.block.texture,
                    },
                }
            )
    categories: list[Json] = [
        {"supercategory": "shape", "id": number, "name": shape} for shape, number in CLASSES.items()
    ]
    return {
        "info": _info("instances"),
        "licenses": [_LICENCE],
        "images": _images(scenes),
        "annotations": annotations,
        "categories": categories,
    }


def vqa_documents(scenes: Sequence[HeldOut]) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return `questions_val.json` and `answers_val.json`: four questions a picture, ten answers a question."""
    asked: list[Json] = []
    answered: list[Json] = []
    for held in scenes:
        for k, question in enumerate(questions(held.scene, held.image_id, QUESTIONS_A_SCENE)):
            number = 1000 * held.image_id + k
            asked.append({"image_id": held.image_id, "question": question.text, "question_id": number})
            replies: list[Json] = [
                {"answer": reply.answer, "answer_confidence": reply.confidence, "answer_id": i}
                for i, reply in enumerate(question.replies, start=1)
            ]
            answered.append(
                {
                    "question_type": question.question_type,
                    "multiple_choice_answer": question.answer,
                    "answers": replies,
                    "image_id": held.image_id,
                    "answer_type": question.answer_type,
                    "question_id": number,
                }
            )
    frame: dict[str, Json] = {
        "info": _info("questions"),
        "task_type": "Open-Ended",
        "data_type": "blocksworld",
        "license": _LICENCE,
        "data_subtype": "val",
    }
    return {**frame, "questions": asked}, {**frame, "annotations": answered}


def edits_document(sessions: Sequence[Session]) -> dict[str, Json]:
    """Return `edits_val.json`: one entry a turn, named as in MagicBrush, with captions of both pictures."""
    turns: list[Json] = []
    for session in sessions:
        for turn, done in enumerate(session.edits, start=1):
            turns.append(
                {
                    "img_id": str(session.img_id),
                    "turn_index": turn,
                    "source_img": session.input_name(turn),
                    "mask_img": session.mask_name(turn),
                    "instruction": done.instruction,
                    "target_img": session.output_name(turn),
                    "edit_type": done.kind,
                    "source_caption": _edit_caption(session, done.source),
                    "target_caption": _edit_caption(session, done.target),
                }
            )
    return {"info": _info("edits"), "license": _LICENCE, "edits": turns}


def _edit_caption(session: Session, scene: Scene) -> str:
    """Return the full caption of a scene, in one form for the whole session."""
    return full_caption(scene, Draws("edit captions", session.img_id))


def scenes_document(scenes: Sequence[HeldOut], sessions: Sequence[Session]) -> dict[str, Json]:
    """Return `scenes_val.json`: what is really there, for the oracle model and for judging answers."""
    drawn: list[Json] = [
        {
            "image_id": held.image_id,
            "stratum": held.stratum,
            "pixel_digest": pixel_digest(render(held.scene)),
            "scene": scene_json(held.scene),
        }
        for held in scenes
    ]
    edited: list[Json] = [
        {
            "img_id": str(session.img_id),
            "turn_index": turn,
            "source_digest": pixel_digest(render(done.source)),
            "instruction": done.instruction,
            "source": scene_json(done.source),
            "target": scene_json(done.target),
        }
        for session in sessions
        for turn, done in enumerate(session.edits, start=1)
    ]
    return {"info": _info("scenes"), "scenes": drawn, "edits": edited}
