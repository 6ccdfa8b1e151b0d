"""Writing in pictures: words that a prompt asks for, read again by OCR (`text_rendering@1`, text-to-image).

One item, `two_words-01-poster`:

    a poster that says "Coffee Shop" in large letters

What stands in quotation marks is what the picture is to show. CM3Leon's tuning has this as "how-to-write",
`draw "Coffee Shop"` (arXiv:2309.02591, table 5), and each text of evalkit's own list is asked in that form too.

Protocol `text-rendering`. The answer is read by PP-OCRv4 as rapidocr-onnxruntime 1.4.4 ships it (extra `ocr`; models
pinned by SHA-256), and the reading compared with the text, case and signs aside (`evalkit.metrics.spelling`):

    exact_text[ppocr-v4]           pictures whose text is the asked one, and no more; blanks do not count
    word_accuracy[ppocr-v4]        share of the asked words that are read, exactly; then the mean over pictures
    character_accuracy[ppocr-v4]   1 - edit distance / length of the longer text, without blanks; then the mean

All are 0 where nothing is read, and also by kind of text: short word, long word, two words, sentence, number.

Choices that move the number: the reader and its models; the normal form; whether further text in the picture counts (it
does in `exact_text` and `character_accuracy`); the prompts (version and digest). The picture is read at its own size.

Ceiling: `-m oracle` draws the text with Pillow in DejaVu Sans, black on white, 256 pixels a side, of which this reader
reads .960 exactly, .984 of the words and .995 of the characters (onnxruntime 1.32, Pillow 13.0); all of the words, but
.970 of sentences' and .950 of numbers'. What is missing is the reader's own: `All` is read as `AII`, `1st` as `lst`.

Pitfalls. Ornate or tiny letters that people can read the OCR may not: a low number is of both. Numbers by another OCR
do not compare. Anchors: none, as there is no official scorer. MARIO-Eval (TextDiffuser, arXiv:2305.10855;
microsoft/unilm at 159df56, `textdiffuser/eval/ocr_eval.py`) counts a picture right if its sorted words, as
MaskTextSpotter v3 reads them, are the asked ones.

Data: evalkit's own list, Apache-2.0: 100 texts, each plainly and in one of ten settings. `-t prompts=FILE` reads
others, one prompt a line, such as the files of DrawText (arXiv:2212.10562; `drawtext/drawtext_creative` and
`drawtext/drawtext_spelling` of google-research/google-research at 5e78683). Lines that quote no words are not asked,
which is stamped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from evalkit.errors import UsageError, nearest
from evalkit.features.ocr import Ocr
from evalkit.interfaces import DataCard, Scored
from evalkit.keys import digest
from evalkit.metrics.pictures.reading import TALLIES, Spelling
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.types import Json, JsonScalar, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.sample_task import SampleTask
from evalkit_tasks.text_prompts import VERSION, TextPrompt, file_prompts, own_prompts

NAME = "text_rendering@1"
PROTOCOL = "text-rendering"
DATA = "text_prompts"
STRATA = ("kind",)


def text_rendering(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on evalkit's own prompts, or on those of `-t prompts=FILE`.

    Raises:
        UsageError: other data are asked for.
        DataError: the file is missing or malformed.
    """
    if workspace.data not in {None, DATA} or workspace.data_dir is not None:
        near = nearest(workspace.data or "", (DATA,))
        raise UsageError(f"text_rendering has its own prompts{near}; name a file of others with -t prompts=FILE")
    file = options.get("prompts", "")
    prompts, card = _of_file(Path(file)) if file else _own()
    fields: dict[str, JsonScalar] = {
        "data": card.name,
        "data_digest": card.digest,
        "prompts": len(prompts),
        "prompt": "as it stands",
    }
    ocr = Ocr()
    strata = () if file else STRATA
    metrics = tuple(ScoreMetric(PROTOCOL, fields, Spelling(ocr, label, asked_text, strata)) for label in TALLIES)
    here = replace(workspace, data=DATA)
    return SampleTask(here, NAME, "text-to-image", card, tuple(map(_sample, prompts)), metrics)


def asked_text(scored: Scored) -> str:
    """Return the text that the picture is to show."""
    return next(part.text for part in scored.sample.references if isinstance(part, Text))


def _sample(prompt: TextPrompt) -> Sample:
    return Sample(prompt.id, (Text(prompt.prompt),), (Text(prompt.text),), prompt.strata, prompt.group)


def _own() -> tuple[tuple[TextPrompt, ...], DataCard]:
    prompts = own_prompts()
    return prompts, DataCard(f"text prompts {VERSION}", _digest(prompts), "Apache-2.0")


def _of_file(path: Path) -> tuple[tuple[TextPrompt, ...], DataCard]:
    prompts, without = file_prompts(path)
    stamps = (f"{without} of {without + len(prompts)} prompts quote no words and are not asked",) if without else ()
    return prompts, DataCard(f"prompts of {path.name}", _digest(prompts), "that of the file", stamps)


def _digest(prompts: tuple[TextPrompt, ...]) -> str:
    listed: list[Json] = [[one.id, one.prompt, one.text] for one in prompts]
    return digest(listed)
