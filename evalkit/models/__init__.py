"""Models that come with evalkit, one file each. This table only names them; see README.md for how to add one."""

from evalkit.interfaces import ModelSpec, Option
from evalkit.types import IMAGE_JOBS

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
        name="noise",
        summary="uniform noise drawn from each request's seed: the floor",
        factory="evalkit.models.noise:noise_model",
        jobs=tuple(sorted(IMAGE_JOBS)),
        options=(Option("size", "256", "side of the pictures in pixels where the request names none"),),
    ),
)
