from __future__ import annotations

import json
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from evalkit.errors import DataError
from evalkit.images import Pixels, decode, pixel_digest
from evalkit_tasks.blocksworld.files import (
    ARCHIVES,
    DATA,
    DIGEST,
    DOCUMENTS,
    document,
    generated,
    main,
    shipped,
    verify,
)
from evalkit_tasks.blocksworld.records import scene_json, scene_of
from evalkit_tasks.blocksworld.render import render
from evalkit_tasks.blocksworld.scene import HELD_OUT_SEEDS, is_held_out


@pytest.mark.slow
def test_the_generator_still_makes_what_is_shipped() -> None:
    made, kept = generated(), shipped()
    for name in DOCUMENTS:
        assert json.loads(json.dumps(made.documents[name])) == kept.documents[name], name
    for archive in ARCHIVES:
        assert made.pictures[archive].keys() == kept.pictures[archive].keys()
        changed = [m for m, p in made.pictures[archive].items() if not np.array_equal(p, kept.pictures[archive][m])]
        assert not changed
    assert made.digest == kept.digest == DIGEST


def test_the_files_are_whole_and_small() -> None:
    verify()
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 5_000_000


def members(archive: str) -> dict[str, Pixels]:
    with zipfile.ZipFile(DATA / archive) as file:
        return {name: decode(file.read(name), name) for name in file.namelist()}


def test_coco_tools_read_the_captions_and_instances(capsys: pytest.CaptureFixture[str]) -> None:
    captions, instances = (COCO(str(DATA / "annotations" / f"{n}_val.json")) for n in ("captions", "instances"))
    assert capsys.readouterr().out
    pictures = members("val.zip")
    assert len(captions.imgs) == len(instances.imgs) == len(pictures) == 500
    assert {len(found) for found in captions.imgToAnns.values()} == {5}
    assert all(f"val/{image['file_name']}" in pictures for image in captions.imgs.values())
    for annotation in list(instances.anns.values())[:200]:
        mask = instances.annToRLE(annotation)
        assert mask["size"] == [64, 64]
    kinds = Counter(annotation["category_id"] for annotation in instances.anns.values())
    assert set(kinds) == set(instances.cats) == set(range(1, 8))


def test_questions_and_answers_are_paired_as_in_vqav2() -> None:
    asked, answered = document("questions_val.json")["questions"], document("answers_val.json")["annotations"]
    assert isinstance(asked, list)
    assert isinstance(answered, list)
    assert len(asked) == len(answered) == 2000
    for question, annotation in zip(asked, answered, strict=True):
        assert isinstance(question, dict)
        assert isinstance(annotation, dict)
        assert question.keys() == {"image_id", "question", "question_id"}
        assert (question["image_id"], question["question_id"]) == (annotation["image_id"], annotation["question_id"])
        answers = annotation["answers"]
        assert isinstance(answers, list)
        assert [a["answer_id"] for a in answers if isinstance(a, dict)] == list(range(1, 11))
        assert annotation["answer_type"] in {"yes/no", "number", "other"}


def test_edit_turns_chain_and_keep_to_their_masks() -> None:
    turns, pictures = document("edits_val.json")["edits"], members("edits.zip")
    assert isinstance(turns, list)
    assert len(turns) == 500
    last: dict[str, str] = {}
    for turn in turns:
        assert isinstance(turn, dict)
        folder = f"images/{turn['img_id']}"
        source, mask, target = (pictures[f"{folder}/{turn[n]}"] for n in ("source_img", "mask_img", "target_img"))
        outside = (mask == 0).all(axis=2)
        assert set(np.unique(mask)) <= {0, 255}
        assert np.array_equal(source[outside], target[outside])
        assert (source[~outside] != target[~outside]).any()
        if turn["turn_index"] != 1:
            assert last[str(turn["img_id"])] == turn["source_img"]
        last[str(turn["img_id"])] = str(turn["target_img"])
    kinds = Counter(str(turn["edit_type"]) for turn in turns if isinstance(turn, dict))
    assert len(kinds) == 7
    assert min(kinds.values()) >= 70


def test_true_scenes_draw_the_shipped_pictures_and_are_held_out() -> None:
    rows, pictures = document("scenes_val.json")["scenes"], members("val.zip")
    assert isinstance(rows, list)
    for row in rows:
        assert isinstance(row, dict)
        image = row["image_id"]
        assert isinstance(image, int)
        assert image < HELD_OUT_SEEDS
        drawn = scene_of(row["scene"], f"image {image}")
        assert is_held_out(drawn)
        assert pixel_digest(render(drawn)) == row["pixel_digest"] == pixel_digest(pictures[f"val/{image:012d}.png"])
        assert scene_json(drawn) == row["scene"]


def damaged(tmp_path: Path) -> Path:
    shutil.copytree(DATA, tmp_path / "data")
    return tmp_path / "data"


def test_a_changed_word_or_pixel_is_an_error(tmp_path: Path) -> None:
    directory = damaged(tmp_path)
    path = directory / "annotations" / "captions_val.json"
    path.write_text(path.read_text(encoding="utf-8").replace("red", "blue", 1), encoding="utf-8")
    with pytest.raises(DataError, match="digest"):
        verify(directory)


def test_a_missing_or_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    directory = damaged(tmp_path)
    (directory / "val.zip").write_bytes((directory / "val.zip").read_bytes()[:1000])
    with pytest.raises(DataError, match=r"val\.zip"):
        verify(directory)
    (directory / "annotations" / "edits_val.json").write_text("[", encoding="utf-8")
    with pytest.raises(DataError, match=r"edits_val\.json"):
        verify(directory)
    (directory / "annotations" / "captions_val.json").unlink()
    with pytest.raises(DataError, match=r"captions_val\.json"):
        verify(directory)


def test_a_scene_with_an_unknown_word_is_an_error_that_names_it() -> None:
    good = {"background": {"color": "white", "style": "plain"}, "blocks": []}
    assert scene_of(json.loads(json.dumps(good)), "here").blocks == ()
    block = {"shape": "blob", "color": "red", "size": "large", "texture": "solid", "x": 1, "y": 2}
    for wrong, match in (
        ({**good, "blocks": [block]}, "blob"),
        ({**good, "blocks": [{**block, "shape": "star", "x": 1.5}]}, r"x = 1\.5"),
        ({**good, "blocks": [{**block, "shape": "star", "y": 300}]}, "y = 300"),
        ({**good, "blocks": None}, "list of blocks"),
        ({"blocks": []}, "background"),
        (3, "here"),
    ):
        with pytest.raises(DataError, match=match):
            scene_of(json.loads(json.dumps(wrong)), "here")


def test_the_command_wants_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_writes_files_that_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == DIGEST
    verify(tmp_path)
