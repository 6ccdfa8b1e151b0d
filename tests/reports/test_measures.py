from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError
from evalkit_reports.measures import load_results
from tests.reports.drawn import CLEAN_PROTOCOL, FID_PROTOCOL, Studio


def test_runs_under_one_protocol_share_a_measure(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("a", "one", n=3), studio.fid_run("b", "two", n=3)])
    fid = [measure for measure in task.measures if measure.name == "fid"]
    assert [row.loaded.label for row in fid[0].rows] == ["one", "two"]
    assert len(fid) == 1 and fid[0].apart == ()
    assert fid[0].protocol == FID_PROTOCOL


def test_runs_under_two_protocols_never_share_a_measure_and_the_field_is_named(studio: Studio) -> None:
    runs = [studio.fid_run("a", "one", n=3), studio.fid_run("b", "two", n=3, under=CLEAN_PROTOCOL)]
    (task,) = load_results(runs)
    first, second = (measure for measure in task.measures if measure.name == "fid")
    assert (len(first.numbers), len(second.numbers)) == (1, 1)
    assert second.apart == ("antialias: False against True", "resize: bilinear against bicubic")
    ((names, reasons),) = task.blocks[1].apart
    assert names == ("fid", "fid_infinity", "kid", "precision", "recall")
    assert reasons == second.apart


def test_runs_on_two_data_sets_never_share_a_measure(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("a", "one", n=3), studio.fid_run("b", "two", n=3, data="coco")])
    first, second = (measure for measure in task.measures if measure.name == "fid")
    assert first.apart == () and second.apart == ("data: blocksworld against coco",)


def test_digests_that_differ_are_shown_by_their_first_digits(studio: Studio) -> None:
    other = FID_PROTOCOL.with_fields({"extractor_sha256": "ab" * 32})
    (task,) = load_results([studio.fid_run("a", "one", n=3), studio.fid_run("b", "two", n=3, under=other)])
    _, second = (measure for measure in task.measures if measure.name == "fid")
    assert second.apart == ("extractor_sha256: 6726825d0a… against ababababab…",)


def test_a_protocol_whose_fields_are_lost_is_still_told_apart(studio: Studio) -> None:
    runs = [studio.fid_run("a", "one", n=3), studio.fid_run("b", "two", n=3, under=CLEAN_PROTOCOL)]
    path = runs[1] / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "protocols": {}}))
    (task,) = load_results(runs)
    _, second = (measure for measure in task.measures if measure.name == "fid")
    assert second.protocol is None
    assert "do not hold" in second.apart[0] and second.short_digest in second.apart[0]


def test_a_missing_number_joins_the_measure_of_its_name_with_its_reason(studio: Studio) -> None:
    runs = [studio.fid_run("a", "one", n=3), studio.fid_run("b", "two", n=3)]
    path = runs[1] / "run.json"
    document = json.loads(path.read_text())
    document["estimates"]["fid"] = {"value": None, "unavailable": "no weights"}
    path.write_text(json.dumps(document))
    (task,) = load_results(runs)
    (fid,) = (measure for measure in task.measures if measure.name == "fid")
    assert len(fid.rows) == 2 and len(fid.numbers) == 1


def test_runs_of_one_model_are_told_apart_by_their_folders(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("a", "one", n=3), studio.fid_run("b", "one", n=3)])
    assert [loaded.label for loaded in task.runs] == ["one (a)", "one (b)"]


def test_folders_of_one_model_are_named_by_where_they_differ(studio: Studio) -> None:
    runs = [studio.fid_run(name, "one", n=3) for name in ("coco-one-7142be52", "coco-one-7142ff00")]
    assert [loaded.label for loaded in load_results(runs)[0].runs] == ["one (7142be52)", "one (7142ff00)"]
    twin = studio.root / "other" / runs[0].name
    shutil.copytree(runs[0], twin)
    labels = [loaded.label for loaded in load_results([runs[0], twin])[0].runs]
    assert labels == ["one (runs/coco-one-7142be52)", "one (other/coco-one-7142be52)"]


def test_what_stands_apart_comes_after_what_it_stands_apart_from(studio: Studio) -> None:
    runs = [
        studio.fid_run("a", "one", n=3),
        studio.fid_run("b", "two", n=3, under=CLEAN_PROTOCOL),
        studio.fid_run("c", "three", n=3, under=CLEAN_PROTOCOL.with_fields({"resize": "box"})),
    ]
    for run, name in ((runs[0], "fid"), (runs[1], "kid")):
        path = run / "run.json"
        document = json.loads(path.read_text())
        document["estimates"][name] = {"value": None, "unavailable": "no weights"}
        path.write_text(json.dumps(document))
    (task,) = load_results(runs)
    seen: set[str] = set()
    for block in task.blocks:
        for measure in block.measures:
            assert not measure.apart or measure.name in seen
        seen |= {measure.name for measure in block.measures if measure.numbers}
    *_, last = (measure for measure in task.measures if measure.name == "recall")
    assert [block.has_numbers for block in task.blocks][-1] is False
    assert last.apart == ("antialias: False against True", "resize: bilinear, bicubic against box")


def test_a_folder_named_twice_counts_once(studio: Studio) -> None:
    run = studio.fid_run("a", "one", n=3)
    assert len(load_results([run, run / ".." / "a"])[0].runs) == 1


def test_no_run_and_a_folder_without_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run to report on"):
        load_results([])
    with pytest.raises(DataError, match=r"run\.json"):
        load_results([tmp_path])
