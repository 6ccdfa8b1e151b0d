"""nocaps and Flickr30k in small, in their official formats."""

from __future__ import annotations

from pathlib import Path

from tests.tasks.coco_files import CAPTIONS
from tests.tasks.question_files import write, write_pictures

DOMAINS = {42: "in-domain", 5: "in-domain", 900: "out-domain"}


def write_nocaps(directory: Path) -> Path:
    """Write nocaps' validation file and its pictures."""
    images = [
        {"id": i, "file_name": f"{i:016x}.jpg", "domain": DOMAINS[i], "open_images_id": f"{i:016x}", "width": 30}
        for i in CAPTIONS
    ]
    told = [{"id": id_, "image_id": i, "caption": text} for i, texts in CAPTIONS.items() for id_, text in texts]
    write(directory, "nocaps_val_4500_captions.json", {"images": images, "annotations": told})
    write_pictures(directory, "val", [f"{i:016x}.jpg" for i in CAPTIONS])
    return directory


def write_flickr30k(directory: Path) -> Path:
    """Write Karpathy's file for Flickr30k in his zip, and the pictures: the last one is of train."""
    images = [
        {
            "imgid": i,
            "filename": f"{i}.jpg",
            "split": "train" if i == 900 else "test",
            "sentids": [id_ for id_, _ in texts],
            "sentences": [{"raw": text, "sentid": id_, "imgid": i, "tokens": text.split()} for id_, text in texts],
        }
        for i, texts in CAPTIONS.items()
    ]
    write(directory, "dataset_flickr30k.json", {"dataset": "flickr30k", "images": images}, "caption_datasets.zip")
    write_pictures(directory, "flickr30k-images", [f"{i}.jpg" for i in CAPTIONS], zipped=True)
    return directory
