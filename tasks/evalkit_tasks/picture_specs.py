"""The benchmarks of pictures that are not FID, as the table of this room lists them: nothing heavy is imported here."""

from __future__ import annotations

from evalkit.anchors import Anchor
from evalkit.interfaces import Need, Option, TaskSpec

_B32, _L14 = "openai-vit-b32", "openai-vit-l14"
_CLIP_WEIGHTS = ("clip-openai-vit-b32", "clip-merges")

_MAGICBRUSH = TaskSpec(
    name="magicbrush",
    version=1,
    job="text-guided-editing",
    summary="edits of real photos against the pictures that people made of them, turn by turn or session by session",
    factory="evalkit_tasks.magicbrush:magicbrush",
    data=("magicbrush", "blocksworld"),
    metrics=("l1", "l2", f"clip_i[{_B32}]", "dino[dino-vits16]", f"clip_t[{_B32}]"),
    protocols=("magicbrush",),
    weights=(*_CLIP_WEIGHTS, "dino-vits16"),
    options=(Option("turns", "single", "single: each turn on the true picture; multi: on what the model made of it"),),
    citation="Zhang 2023, arXiv:2306.10012",
    licence="CC BY 4.0",
)

_EMU_EDIT = TaskSpec(
    name="emu_edit",
    version=1,
    job="text-guided-editing",
    summary="edits without a target: change of picture against change of caption, and faithfulness to the source",
    factory="evalkit_tasks.emu_edit:emu_edit",
    data=("emu_edit", "blocksworld", "hf:REPO@REVISION"),
    metrics=(f"clip_direction[{_B32}]", f"clip_i[{_B32}]", f"clip_t[{_B32}]", "l1", "dino[dino-vits16]"),
    protocols=("emu-edit",),
    weights=(*_CLIP_WEIGHTS, "dino-vits16"),
    options=(
        Option("split", "test", "test or validation"),
        Option("backbone", _B32, f"{_B32} or {_L14}: the CLIP that measures"),
        Option("identical", "keep", "keep or drop items whose two captions read the same"),
    ),
    citation="Sheynin 2023, arXiv:2311.10089",
    licence="CC BY-NC 4.0",
)
_INSTRUCTPIX2PIX = TaskSpec(
    name="instructpix2pix",
    version=1,
    job="text-guided-editing",
    summary="the curve of CLIP direction against image similarity over the weight of the source",
    factory="evalkit_tasks.instructpix2pix:instructpix2pix",
    data=("instructpix2pix", "blocksworld"),
    metrics=(f"clip_direction[{_L14}]", f"clip_i[{_L14}]", f"clip_t[{_L14}]"),
    protocols=("instruct-pix2pix", "clip"),
    weights=("clip-openai-vit-l14", "clip-merges"),
    options=(Option("image_guidance", "1.0,1.2,...,2.2", "the weights of the source that each item is asked at"),),
    citation="Brooks 2022, arXiv:2211.09800",
    licence="MIT",
)
_PIE_BENCH = TaskSpec(
    name="pie_bench",
    version=1,
    job="text-guided-editing",
    summary="edits of ten kinds with masks: structure and background kept, words followed",
    factory="evalkit_tasks.pie_bench:pie_bench",
    data=("pie_bench", "blocksworld"),
    metrics=(
        *("structure_distance[dino-vitb8]", "psnr", "mse", "ssim", "lpips[squeeze]"),
        *(f"clip_whole[{_L14}]", f"clip_edited[{_L14}]"),
    ),
    protocols=("pie-bench",),
    weights=("dino-vitb8", "squeezenet1_1", "lpips-squeeze", "clip-openai-vit-l14", "clip-merges"),
    citation="Ju 2023, arXiv:2310.01506",
    licence="none given: treat as restricted",
)
_TEDBENCH = TaskSpec(
    name="tedbench",
    version=1,
    job="text-guided-editing",
    summary="one hundred non-rigid edits of photos: words followed against photo kept",
    factory="evalkit_tasks.tedbench:tedbench",
    data=("tedbench", "blocksworld"),
    metrics=(f"clip_t[{_L14}]", "lpips[alex]", f"clip_i[{_L14}]"),
    protocols=("tedbench",),
    weights=("clip-openai-vit-l14", "clip-merges", "alexnet", "lpips-alex"),
    options=(Option("backbone", _L14, f"{_L14} or {_B32}: the CLIP that measures"),),
    citation="Kawar 2022, arXiv:2210.09276",
    licence="none given: treat as restricted",
)

_JUDGE = (
    Option("judge", "", "model id of the judge, as its address knows it"),
    Option("judge_url", "", "OpenAI-compatible address of the judge, such as http://127.0.0.1:8000/v1"),
)
_GEDIT_BENCH = TaskSpec(
    name="gedit_bench",
    version=1,
    job="text-guided-editing",
    summary="users' own wishes for photos, judged by a pinned vision-language model",
    factory="evalkit_tasks.gedit_bench:gedit_bench",
    data=("gedit_bench", "blocksworld", "hf:REPO@REVISION"),
    metrics=("g_o", "g_sc", "g_pq"),
    protocols=("gedit-bench",),
    options=(
        *_JUDGE,
        Option("language", "en", "en or cn"),
        Option("sc_prompt", "", "file with the wording for semantic consistency; the default is evalkit's own"),
        Option("pq_prompt", "", "file with the wording for perceptual quality; the default is evalkit's own"),
    ),
    citation="Liu 2025, arXiv:2504.17761; Ku 2023, arXiv:2312.14867",
    licence="Apache-2.0",
)

_IMGEDIT = TaskSpec(
    name="imgedit",
    version=1,
    job="text-guided-editing",
    summary="edits of nine types, three scores each by a pinned vision-language model",
    factory="evalkit_tasks.imgedit:imgedit",
    data=("imgedit", "blocksworld"),
    metrics=("imgedit",),
    protocols=("imgedit",),
    options=(*_JUDGE, Option("prompt", "", "file with the judge's prompt; the default is evalkit's own wording")),
    citation="Ye 2025, arXiv:2505.20275",
    licence="Apache-2.0",
)

_FLANT5, _PICK, _HPS = "clip-flant5-xl", "pickscore-v1", "hps-v2.1"
_PROMPT_SCORES = (
    *(f"clip_t[{_B32}]", f"clipscore[{_B32}]"),
    *(f"vqascore[{_FLANT5}]", f"pickscore[{_PICK}]", f"hpsv2[{_HPS}]"),
)
_PROMPT_WEIGHTS = (*_CLIP_WEIGHTS, _FLANT5, "flan-t5-tokens", _PICK, _HPS)
_PROMPT_OPTIONS = (
    Option("backbone", _B32, f"{_B32} or {_L14}: the CLIP that measures"),
    Option("vqascore", _FLANT5, f"{_FLANT5} or clip-flant5-xxl: the model that VQAScore asks"),
    Option("hps", _HPS, f"{_HPS} or hps-v2.0: the version of HPSv2"),
)
_PROMPT_PAPERS = (
    "Hessel 2021, arXiv:2104.08718; Lin 2024, arXiv:2404.01291; Kirstain 2023, arXiv:2305.01569; "
    "Wu 2023, arXiv:2306.09341"
)
_PARTI_PROMPTS = TaskSpec(
    name="parti_prompts",
    version=1,
    job="text-to-image",
    summary="1,632 prompts of twelve categories, scored by CLIP, VQAScore and models of preferences",
    factory="evalkit_tasks.parti_prompts:parti_prompts",
    data=("parti_prompts", "blocksworld"),
    metrics=_PROMPT_SCORES,
    protocols=("parti_prompts",),
    weights=_PROMPT_WEIGHTS,
    options=_PROMPT_OPTIONS,
    citation=f"Yu 2022, arXiv:2206.10789; {_PROMPT_PAPERS}",
    licence="Apache-2.0",
)
_DRAWBENCH = TaskSpec(
    name="drawbench",
    version=1,
    job="text-to-image",
    summary="200 prompts that are hard to draw, scored by CLIP, VQAScore and models of preferences",
    factory="evalkit_tasks.drawbench:drawbench",
    data=("drawbench", "blocksworld"),
    metrics=_PROMPT_SCORES,
    protocols=("drawbench",),
    weights=_PROMPT_WEIGHTS,
    options=_PROMPT_OPTIONS,
    citation=f"Saharia 2022, arXiv:2205.11487; {_PROMPT_PAPERS}",
    licence="none given: treat as restricted",
)

_FASTER = "fasterrcnn-resnet50-fpn-v2"
_OBJECT_TO_IMAGE = TaskSpec(
    name="object_to_image",
    version=1,
    job="object-to-image",
    summary="pictures from COCO's labelled boxes: AP of a pinned detector on them, beside its AP on the real photos",
    factory="evalkit_tasks.object_to_image:object_to_image",
    data=("coco", "blocksworld"),
    metrics=(f"ap[{_FASTER}]", f"ap50[{_FASTER}]", f"photo_ap[{_FASTER}]", f"photo_ap50[{_FASTER}]"),
    protocols=("layout-ap",),
    weights=(_FASTER,),
    options=(
        Option("detector", _FASTER, f"{_FASTER}, retinanet-resnet50-fpn-v2 or yolo11n-onnx (AGPL-3.0)"),
        Option("split", "", "val2017, val2014, ...; the default is the first of these two that is found"),
        Option("caption", "first", "first: the photo's first caption is said with the boxes; none: it is not"),
        Option("min_area", "0.02", "objects are asked for whose box is more than this share of the photo"),
        Option("min_objects", "3", "photos are asked for that have so many such objects or more"),
        Option("max_objects", "8", "and no more than so many"),
    ),
    citation="Lin 2014, arXiv:1405.0312; Johnson 2018, arXiv:1804.01622; Sun 2019, arXiv:1908.07500",
    licence="annotations CC BY 4.0; photos under their Flickr terms",
)

_M2F = "mask2former-swin-s-hf"
_GENEVAL = TaskSpec(
    name="geneval",
    version=1,
    job="text-to-image",
    summary="553 prompts of objects, counts, colours and places, judged by a detector: six task means and their mean",
    factory="evalkit_tasks.geneval:geneval",
    data=("geneval", "blocksworld"),
    metrics=(
        *(f"geneval[{_M2F}]", f"single_object[{_M2F}]", f"two_object[{_M2F}]", f"counting[{_M2F}]"),
        *(f"colors[{_M2F}]", f"position[{_M2F}]", f"color_attr[{_M2F}]"),
    ),
    protocols=("geneval",),
    weights=(_M2F, "clip-openai-vit-l14", "clip-merges"),
    needs=(Need("transformers", "package", "pip install 'evalkit-multimodal[transformers]'", f"those of {_M2F}"),),
    options=(
        Option("detector", _M2F, f"{_M2F}, or a box detector: {_FASTER}, yolo11n-onnx (AGPL-3.0), ..."),
        Option("pictures", "4", "pictures that are asked for of each prompt"),
    ),
    citation="Ghosh 2023, arXiv:2310.11513; Cheng 2022, arXiv:2112.01527",
    licence="MIT",
)

_READ = ("exact_text[ppocr-v4]", "word_accuracy[ppocr-v4]", "character_accuracy[ppocr-v4]")
_TEXT_RENDERING = TaskSpec(
    name="text_rendering",
    version=1,
    job="text-to-image",
    summary="words that a prompt asks for in a picture, read again by OCR",
    factory="evalkit_tasks.text_rendering:text_rendering",
    data=("text_prompts",),
    metrics=tuple(name for read in _READ for name in (read, f"{read}_by_kind")),
    protocols=("text-rendering",),
    needs=(Need("rapidocr_onnxruntime", "package", "pip install 'evalkit-multimodal[ocr]'", "all"),),
    options=(Option("prompts", "", "file of other prompts, one a line, the words to be shown in quotation marks"),),
    citation="Yu 2023, arXiv:2309.02591 (how-to-write); Du 2020, arXiv:2009.09941 (the OCR)",
    licence="Apache-2.0",
    anchors=tuple(
        Anchor(metric, value, "golden value: what the OCR reads of text that the oracle draws", 0.02, "oracle")
        for metric, value in zip(_READ, (0.96, 0.984, 0.99468), strict=True)
    ),
)

PICTURE_TASKS: tuple[TaskSpec, ...] = (
    *(_MAGICBRUSH, _INSTRUCTPIX2PIX, _EMU_EDIT, _PIE_BENCH, _TEDBENCH),
    *(_GEDIT_BENCH, _IMGEDIT, _PARTI_PROMPTS, _DRAWBENCH, _TEXT_RENDERING, _OBJECT_TO_IMAGE, _GENEVAL),
)
