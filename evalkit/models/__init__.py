"""Models that come with evalkit, one file each. This table only names them; see README.md for how to add one."""

from evalkit.interfaces import ModelSpec, Option
from evalkit.models.limits import LIMIT_OPTIONS
from evalkit.models.prompts import PROMPT_OPTIONS, TEXT_JOBS
from evalkit.types import IMAGE_JOBS

_TRUST = (
    Option("trust_remote_code", "no", "yes: run the code that comes with the checkpoint"),
    Option("pickle", "no", "yes: read weights that are pickles, which can run code"),
    Option("revision", "", "branch, tag or commit on the hub"),
)

MODELS = (
    ModelSpec(
        name="images",
        summary="pictures made elsewhere: a folder named by sample id or caption id, or with a manifest.jsonl",
        factory="evalkit.models.folder:folder_model",
        jobs=tuple(sorted(IMAGE_JOBS)),
        argument="DIR",
        options=(
            Option("by", "auto", "what files are named by: sample, caption, image, manifest, or auto to find out"),
            Option("name", "", "what tables call the model; the folder's name by default"),
        ),
    ),
    ModelSpec(
        name="answers",
        summary="answers made elsewhere: JSON Lines, CSV, COCO or VQA results, a Hugging Face dataset",
        factory="evalkit.models.answers:answers_model",
        jobs=(*TEXT_JOBS, *sorted(IMAGE_JOBS)),
        argument="FILE",
        options=(
            Option("by", "auto", "what ids name: sample, caption, image; by the name of their column by default"),
            Option("id_column", "", "column of ids; the first of sample_id, question_id, image_id, id"),
            Option(
                "answer_column", "", "column of answers; the first of text, caption, answer, prediction, output, image"
            ),
            Option("split", "", "split of a dataset that has several"),
            Option("name", "", "what tables call the model; the file's name by default"),
        ),
    ),
    ModelSpec(
        name="transformers",
        summary="an image-text-to-text checkpoint of the transformers library: captions and answers",
        factory="evalkit.models.transformers:transformers_model",
        jobs=TEXT_JOBS,
        argument="FOLDER_OR_REPO",
        options=(
            Option("precision", "auto", "auto (the checkpoint's own), float32, bfloat16 or float16"),
            Option("together", "1", "requests in one pass; each number is another model, as it rounds differently"),
            Option("num_beams", "1", "beams; 1 is greedy"),
            Option("chat", "yes", "no: show picture and words without the chat template"),
            Option("device_map", "none", "auto: spread the layers over all devices"),
            *PROMPT_OPTIONS,
            *_TRUST,
        ),
    ),
    ModelSpec(
        name="diffusers",
        summary="a pipeline of the diffusers library: pictures from words, edits, inpainting, ControlNet",
        factory="evalkit.models.diffusers:diffusers_model",
        jobs=("text-to-image", "text-guided-editing", "structure-to-image", "segmentation-to-image"),
        argument="FOLDER_OR_REPO",
        options=(
            Option("precision", "float32", "float32, bfloat16 or float16"),
            Option("together", "1", "pictures in one pass; each number is another model, as it rounds differently"),
            Option(
                "scheduler", "", "class of the scheduler, EulerDiscreteScheduler say; the pipeline's own by default"
            ),
            Option("strength", "", "how much image-to-image and inpainting may change, 0 to 1; the pipeline's default"),
            Option("controlnet", "", "folder or repository of a ControlNet: pictures from edges, depth, label maps"),
            Option("controlnet_revision", "", "branch, tag or commit of the ControlNet on the hub"),
            Option("variant", "", "files of that name, fp16 say"),
            *_TRUST,
        ),
    ),
    ModelSpec(
        name="openai",
        summary="a model behind any server that speaks OpenAI's protocol (hosted, vLLM, SGLang): chat and pictures",
        factory="evalkit.models.openai:openai_model",
        jobs=(*TEXT_JOBS, "text-to-image", "text-guided-editing"),
        argument="MODEL",
        options=(
            Option("base_url", "", "http://HOST:PORT/v1; $OPENAI_BASE_URL, or OpenAI itself, by default"),
            Option("key_variable", "OPENAI_API_KEY", "environment variable that holds the key"),
            Option("concurrency", "8", "requests under way at a time; raise -b with it"),
            Option("timeout", "120", "seconds that a whole reply may take"),
            Option("tries", "6", "how often a request is sent until it counts as failed"),
            Option("backoff", "1", "seconds of the first pause between two tries, which doubles"),
            Option("limit_name", "max_tokens", "max_completion_tokens for models that reason"),
            Option("detail", "", "low or high: how closely a picture is looked at"),
            Option("image_knobs", "none", "diffusers: send seed, steps, guidance, negative prompt for a picture"),
            Option("response_format", "b64_json", "none where the server refuses to be asked for b64_json"),
            Option("extra", "", 'further fields of every body as JSON: {"reasoning_effort": "low"}'),
            Option("served", "", "name that replies must come from: pins what an alias stands for"),
            *LIMIT_OPTIONS,
            *PROMPT_OPTIONS,
        ),
    ),
    ModelSpec(
        name="noise",
        summary="uniform noise drawn from each request's seed: the floor",
        factory="evalkit.models.noise:noise_model",
        jobs=tuple(sorted(IMAGE_JOBS)),
        options=(Option("size", "256", "side of the pictures in pixels where the request names none"),),
    ),
)
