"""Numbers that papers publish, as they published them: shown apart from what was measured here, never ranked with it.

A row says what of its protocol the paper states, in the names of evalkit's protocol fields. Only where a row states
every field of a measured number's protocol, and all agree, may the two stand in one ranking; no row below does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.protocols import Protocol
from evalkit.types import JsonScalar

CM3LEON = "Yu 2023, CM3Leon, arXiv:2309.02591"
_FID = "zero-shot FID on 30,000 captions of val2014"
_FID_FIELDS: Mapping[str, JsonScalar] = {"data": "coco val2014", "n_generated": 30000, "statistic": "fid"}


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """What a paper says of a system: values by the name of the measure, in the paper's own scale.

    `tasks` are the tasks (without version) beside which it is shown, `source` the citation, `setup` how the numbers
    were made. `fields` are the protocol fields that the paper states.
    """

    tasks: tuple[str, ...]
    system: str
    values: Mapping[str, float]
    source: str
    setup: str
    fields: Mapping[str, JsonScalar] = field(default_factory=dict)

    def compares_with(self, protocol: Protocol | None) -> bool:
        """Return whether the row states every field of `protocol`, and the same in each."""
        if protocol is None:
            return False
        wanted = dict(protocol.fields)
        return bool(wanted) and all(name in self.fields and self.fields[name] == wanted[name] for name in wanted)

    def differences(self, protocol: Protocol | None) -> list[str]:
        """Return the fields that the paper states otherwise: `n_generated: 30000 against 500`."""
        wanted = {} if protocol is None else dict(protocol.fields)
        return [
            f"{name}: {stated} against {wanted[name]}"
            for name, stated in self.fields.items()
            if name in wanted and wanted[name] != stated
        ]


def _fid(system: str, value: float, source: str = f"{CM3LEON}, table 1", setup: str = "") -> PublishedRow:
    return PublishedRow(
        ("coco_fid",), system, {"fid": value}, source, f"{_FID}{f'; {setup}' if setup else ''}", _FID_FIELDS
    )


def _answers(system: str, cider: float, vqa: float, vizwiz: float | None = None, okvqa: float | None = None) -> tuple[
    PublishedRow, ...
]:  # fmt: skip
    """Return a system's row of the second table of CM3Leon's paper, once for each task."""
    source = f"{CM3LEON}, table 2"
    rows = [
        PublishedRow(("coco_caption",), system, {"cider": cider}, source, "zero-shot, COCO test, CIDEr x 100"),
        PublishedRow(("vqav2",), system, {"vqa_accuracy": vqa}, source, "zero-shot, test-dev"),
    ]
    if vizwiz is not None:
        rows.append(PublishedRow(("vizwiz",), system, {"vqa_accuracy": vizwiz}, source, "zero-shot, test-dev"))
    if okvqa is not None:
        rows.append(PublishedRow(("okvqa",), system, {"vqa_accuracy": okvqa}, source, "zero-shot, val"))
    return tuple(rows)


def _magicbrush(system: str, *values: float) -> PublishedRow:
    names = ("l1", "l2", "clip_i", "dino", "clip_t")
    return PublishedRow(
        ("magicbrush",), system, dict(zip(names, values, strict=True)), "Zhang 2023, MagicBrush, arXiv:2306.10012",
        "single turn; CLIP ViT-B/32, DINO ViT-S/16",
    )  # fmt: skip


def _geneval(system: str, *values: float) -> PublishedRow:
    names = ("geneval", "single_object", "two_object", "counting", "colors", "position", "color_attr")
    return PublishedRow(
        ("geneval",), system, dict(zip(names, values, strict=True)), "Ghosh 2023, GenEval, arXiv:2310.11513",
        "553 prompts x 4 pictures, Mask2Former detector",
    )  # fmt: skip


def _llava(system: str, *values: float) -> tuple[PublishedRow, ...]:
    tasks = ("vqav2", "gqa", "vizwiz", "textvqa")
    setups = ("test-dev", "test-dev balanced", "test-dev", "val, with OCR tokens in the prompt")
    source = "Liu 2023, LLaVA-1.5, arXiv:2310.03744"
    return tuple(
        PublishedRow((task,), system, {"vqa_accuracy": value}, source, setup)
        for task, value, setup in zip(tasks, values, setups, strict=True)
    )


PUBLISHED: tuple[PublishedRow, ...] = (
    _fid("RA-CM3 2.7B", 15.70, setup="2 retrieved documents"),
    _fid("Stable Diffusion 800M", 12.60),
    _fid("KNN-Diffusion 400M", 12.50, setup="10 retrieved documents"),
    _fid("MUSE 3B", 7.88),
    _fid("PARTI 20B", 7.23),
    _fid("Re-Imagen 3.6B", 5.25, setup="2 retrieved documents"),
    _fid("CM3Leon-7B", 10.82, setup="pytorch-fid; best of 8 by CLIP; no retrieved document"),
    _fid("CM3Leon-7B", 5.78, setup="pytorch-fid; best of 8 by CLIP; 1 retrieved document"),
    _fid("CM3Leon-7B", 4.88, setup="pytorch-fid; best of 8 by CLIP; 2 retrieved documents"),
    _fid("CM3Leon-350M", 14.20, setup="pytorch-fid; best of 8 by CLIP; 2 retrieved documents"),
    _fid("CM3Leon-760M", 6.61, setup="pytorch-fid; best of 8 by CLIP; 2 retrieved documents"),
    _fid("Imagen", 7.27, "Saharia 2022, Imagen, arXiv:2205.11487"),
    _fid("DALL-E 2", 10.39, "Saharia 2022, Imagen, arXiv:2205.11487"),
    _fid("GLIDE", 12.24, "Saharia 2022, Imagen, arXiv:2205.11487"),
    _fid("GigaGAN", 9.09, "Kang 2023, GigaGAN, arXiv:2303.05511", "clean-fid, centre crop, Lanczos to 256"),
    *_answers("OpenFlamingo-9B", 65.5, 43.5),
    *_answers("Flamingo-9B", 79.4, 51.8, 28.8, 44.7),
    *_answers("SFT-CM3Leon-7B", 61.6, 47.6, 37.6, 23.8),
    *_llava("LLaVA-1.5-7B", 78.5, 62.0, 50.0, 58.2),
    *_llava("LLaVA-1.5-13B", 80.0, 63.3, 53.6, 61.3),
    _magicbrush("InstructPix2Pix", 0.1122, 0.0371, 0.8524, 0.7428, 0.2764),
    _magicbrush("InstructPix2Pix, fine-tuned on MagicBrush", 0.0625, 0.0203, 0.9332, 0.8987, 0.2781),
    _magicbrush("HIVE", 0.1092, 0.0341, 0.8519, 0.7500, 0.2752),
    _magicbrush("HIVE, fine-tuned on MagicBrush", 0.0658, 0.0224, 0.9189, 0.8655, 0.2812),
    _magicbrush("SDEdit", 0.1014, 0.0278, 0.8526, 0.7726, 0.2777),
    _geneval("Stable Diffusion 1.5", 0.43, 0.97, 0.38, 0.35, 0.76, 0.04, 0.06),
    _geneval("Stable Diffusion 2.1", 0.50, 0.98, 0.51, 0.44, 0.85, 0.07, 0.17),
    _geneval("Stable Diffusion XL", 0.55, 0.98, 0.74, 0.39, 0.85, 0.15, 0.23),
    _geneval("DeepFloyd IF-XL", 0.61, 0.97, 0.74, 0.66, 0.81, 0.13, 0.35),
)


def published_for(task: str) -> tuple[PublishedRow, ...]:
    """Return the rows that belong beside a task; its version and the digest of its data are no part of a paper.

    >>> [row.system for row in published_for("okvqa@1")]
    ['Flamingo-9B', 'SFT-CM3Leon-7B']
    """
    base = task.partition("@")[0]
    return tuple(row for row in PUBLISHED if base in row.tasks)
