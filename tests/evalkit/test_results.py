"""Laws of results: what is written comes back, and a damaged file is an error that names it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.protocols import protocol
from evalkit.results import Coverage, Run, SampleRecord, read_run, read_samples, run_json, write_run
from evalkit.types import Estimate, Interval, Unavailable

USED = protocol("fid", {"size": 256, "antialias": False, "prompt": None})
numbers = st.floats(allow_nan=False, allow_infinity=False)


def a_run(value: float = 12.5) -> Run:
    estimate = Estimate(value, 10, "squared", False, USED.digest, Interval(10.0, 14.0, 0.95, "bootstrap"), ("few",))
    return Run(
        task="coco_fid@1",
        model="noise",
        data="blocksworld",
        estimates={"fid": estimate, "inception_score": Unavailable("no classifier")},
        coverage=Coverage(10, 9, 1, 4),
        stamps=("demo data",),
        protocols={USED.digest: USED},
        series={"fid_by_n": ((5.0, 20.0), (10.0, 12.5))},
        provenance={"seconds": 1.5, "packages": {"numpy": "2.0"}},
    )


def a_record(sample_id: str = "s1", failed: bool = False) -> SampleRecord:
    return SampleRecord(
        id=sample_id,
        cluster="c",
        strata={"stratum": "easy"},
        parts=({"type": "Text", "text": "ein Würfel </script>"},),
        references=(),
        key="k",
        seed=2**62,
        from_cache=True,
        seconds=0.25,
        answer_parts=None if failed else ({"type": "Image", "digest": "d"},),
        failure=("refusal", "no") if failed else None,
        scores={"fid_influence": -0.5},
    )


@given(numbers)
def test_a_run_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, a_run(value), [])
    assert read_run(folder) == a_run(value)


def test_samples_come_back_as_they_were_and_in_order(tmp_path: Path) -> None:
    records = [a_record("b"), a_record("a", failed=True)]
    write_run(tmp_path, a_run(), records)
    assert list(read_samples(tmp_path)) == records


def test_text_that_is_no_unicode_survives(tmp_path: Path) -> None:
    record = dataclasses.replace(a_record(), failure=("malformed", "half a pair: \ud800"), answer_parts=None)
    write_run(tmp_path, a_run(), [record])
    assert list(read_samples(tmp_path)) == [record]


def test_the_json_has_the_documented_shape() -> None:
    document = run_json(a_run())
    assert isinstance(document["estimates"], dict)
    assert document["estimates"]["fid"] == {
        "value": 12.5,
        "n": 10,
        "unit": "squared",
        "higher_is_better": False,
        "interval": [10.0, 14.0],
        "interval_level": 0.95,
        "interval_method": "bootstrap",
        "protocol": USED.digest,
        "warnings": ["few"],
    }
    assert document["coverage"] == {"asked": 10, "answered": 9, "failed": 1, "from_cache": 4}
    assert document["stamps"] == ["demo data"]


def test_a_missing_run_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run\.json does not exist; name the folder"):
        read_run(tmp_path / "absent")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": 1}', '{"schema": 1, "coverage": 3}'])
def test_a_damaged_run_is_an_error_that_names_the_file(tmp_path: Path, damage: str) -> None:
    (tmp_path / "run.json").write_text(damage)
    with pytest.raises(DataError, match=r"run\.json"):
        read_run(tmp_path)


def test_a_newer_schema_is_an_error(tmp_path: Path) -> None:
    write_run(tmp_path, a_run(), [])
    document = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**document, "schema": 99}))
    with pytest.raises(DataError, match=r"schema 99.*upgrade evalkit"):
        read_run(tmp_path)


def test_a_damaged_sample_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    write_run(tmp_path, a_run(), [a_record("a"), a_record("b")])
    path = tmp_path / "samples.jsonl"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(DataError, match=r"samples\.jsonl, line 2, is not a sample"):
        list(read_samples(tmp_path))
