"""Laws of the loop: nothing is asked twice, nothing is lost, and the numbers do not depend on how they came about."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.cache import Cache
from evalkit.errors import DataError, RunError, UsageError
from evalkit.executors.local import LocalExecutor
from evalkit.forecast import forecast
from evalkit.interfaces import AnyMetric
from evalkit.results import Run, read_run, read_samples
from evalkit.runner import RunSettings, ask, parse_gen, run
from evalkit.types import Job, Request, Sample, Text
from tests.fakes import CountingModel, MeanBrightness, TinyTask


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(tmp_path / "cache") as opened:
        yield opened


def go(cache: Cache, model: CountingModel, tmp_path: Path, task: TinyTask | None = None, **chosen: object) -> Run:
    settings = RunSettings(**chosen)  # type: ignore[arg-type]  # the tests pass what RunSettings takes
    return run(task or TinyTask(), model, cache, settings, tmp_path / "runs")[0]


def test_nothing_is_asked_twice(cache: Cache, tmp_path: Path) -> None:
    model = CountingModel()
    first = go(cache, model, tmp_path)
    second = go(cache, model, tmp_path)
    assert set(model.asked.values()) == {1}
    assert len(model.asked) == 10
    assert first.estimates == second.estimates
    assert (first.coverage.from_cache, second.coverage.from_cache) == (0, 10)


def test_another_models_answers_are_never_served(cache: Cache, tmp_path: Path) -> None:
    a, b = CountingModel("a"), CountingModel("b")
    go(cache, a, tmp_path)
    go(cache, b, tmp_path)
    assert sum(b.asked.values()) == 10


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_the_batch_size_changes_no_number(cache: Cache, tmp_path: Path, batch: int) -> None:
    with Cache(tmp_path / "other") as other:
        assert (
            go(cache, CountingModel(), tmp_path).estimates
            == go(other, CountingModel(), tmp_path, batch=batch).estimates
        )


def test_a_batch_that_shrinks_for_want_of_memory_loses_no_sample(cache: Cache, tmp_path: Path) -> None:
    finished = go(cache, CountingModel(memory=3), tmp_path, TinyTask(200))
    assert (finished.coverage.answered, finished.coverage.failed) == (200, 0)


def test_a_run_that_was_cut_short_goes_on_where_it_stopped(cache: Cache, tmp_path: Path) -> None:
    model = CountingModel()
    go(cache, model, tmp_path, limit=4)
    finished = go(cache, model, tmp_path)
    assert finished.coverage.from_cache == 4
    assert set(model.asked.values()) == {1}


def test_a_limited_run_is_stamped(cache: Cache, tmp_path: Path) -> None:
    assert go(cache, CountingModel(), tmp_path, limit=4).stamps == ("demo data", "limited to 4 of 10 samples")
    assert go(cache, CountingModel(), tmp_path, limit=10).stamps == ("demo data",)


def test_a_failure_is_counted_shown_not_scored_and_not_kept(cache: Cache, tmp_path: Path) -> None:
    broken = CountingModel(poison=frozenset({"s3"}))
    finished, folder = run(TinyTask(), broken, cache, RunSettings(), tmp_path / "runs")
    assert (finished.coverage.answered, finished.coverage.failed) == (9, 1)
    assert "1 of 10 samples failed" in finished.stamps
    (failed,) = [record for record in read_samples(folder) if record.failure is not None]
    assert failed.id == "s3"
    assert failed.failure == ("exception", "ValueError: cannot draw s3")
    assert failed.answer_parts is None
    assert failed.scores == {}
    mended = go(cache, CountingModel(), tmp_path)
    assert (mended.coverage.failed, mended.coverage.from_cache) == (0, 9)


def test_when_all_fail_the_first_failure_is_told(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"2 of 2 samples failed .the first with exception: ValueError: cannot draw s0"):
        go(cache, CountingModel(poison=frozenset({"s0", "s1"})), tmp_path, limit=2)


def test_the_runs_folder_holds_the_run_and_its_samples_in_order(cache: Cache, tmp_path: Path) -> None:
    finished, folder = run(TinyTask(), CountingModel(), cache, RunSettings(), tmp_path / "runs")
    assert read_run(folder) == finished
    records = list(read_samples(folder))
    assert [record.id for record in records] == [f"s{i}" for i in range(10)]
    assert all(record.scores["brightness"] > 0 for record in records)
    again = run(TinyTask(), CountingModel(), cache, RunSettings(), tmp_path / "runs")[1]
    other = run(TinyTask(), CountingModel(), cache, RunSettings(seed=1), tmp_path / "runs")[1]
    assert folder == again != other


def test_each_sample_has_a_seed_of_its_own(cache: Cache, tmp_path: Path) -> None:
    _, folder = run(TinyTask(), CountingModel(), cache, RunSettings(), tmp_path / "runs")
    assert len({record.seed for record in read_samples(folder)}) == 10


def test_another_run_seed_gives_other_answers(cache: Cache, tmp_path: Path) -> None:
    assert go(cache, CountingModel(), tmp_path).estimates != go(cache, CountingModel(), tmp_path, seed=1).estimates


def test_gen_settings_reach_the_request_with_their_types(cache: Cache, tmp_path: Path) -> None:
    seen: list[Request] = []

    class Watching(CountingModel):
        def generate(self, requests):  # type: ignore[no-untyped-def]
            seen.extend(requests)
            return super().generate(requests)

    go(cache, Watching(), tmp_path, limit=1, gen={"temperature": "0.5", "steps": "20", "negative_prompt": "7"})
    assert (seen[0].temperature, seen[0].steps, seen[0].negative_prompt) == (0.5, 20, "7")


def test_a_wrong_gen_setting_is_an_error() -> None:
    with pytest.raises(UsageError, match="no setting 'temprature'; did you mean 'temperature'"):
        parse_gen({"temprature": "1"})
    with pytest.raises(UsageError, match="steps=many is not a whole number"):
        parse_gen({"steps": "many"})
    with pytest.raises(UsageError, match="no setting 'parts'"):
        parse_gen({"parts": "x"})


def test_an_unknown_metric_is_an_error_before_anything_is_asked(cache: Cache, tmp_path: Path) -> None:
    model = CountingModel()
    with pytest.raises(UsageError, match="no metric 'brightnes'; did you mean 'brightness'"):
        go(cache, model, tmp_path, metrics=("brightnes",))
    assert not model.asked


def test_a_model_that_cannot_do_the_job_is_an_error(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="model counting cannot do text-to-image, which tiny@1 asks for"):
        go(cache, CountingModel(capabilities=frozenset[Job]({"vqa"})), tmp_path)


class Worded(TinyTask):
    """A task whose prompts are of many lengths."""

    def samples(self) -> list[Sample]:
        return [Sample(f"s{i}", (Text("word " * (7 * i % 10)),)) for i in range(10)]


def test_the_longest_are_asked_first(cache: Cache, tmp_path: Path) -> None:
    model = CountingModel()
    _, folder = run(Worded(), model, cache, RunSettings(batch=3), tmp_path / "runs")
    assert list(model.asked) == [f"s{i}" for i in sorted(range(10), key=lambda i: -(7 * i % 10))]
    assert [record.id for record in read_samples(folder)] == [f"s{i}" for i in range(10)]


def test_no_claim_outlives_a_failure_or_an_error(cache: Cache, tmp_path: Path) -> None:
    keys = [item.key for item in ask(TinyTask(), CountingModel(), RunSettings())]
    go(cache, CountingModel(poison=frozenset({"s3"})), tmp_path)
    with Cache(tmp_path / "cache") as other:
        assert other.claim(keys) == {keys[3]}

    class Broken(CountingModel):
        def generate(self, requests):  # type: ignore[no-untyped-def]
            yield from list(super().generate(requests))[:2]
            raise DataError("the folder is gone")

    with pytest.raises(DataError):
        go(cache, Broken("b"), tmp_path)
    keys = [item.key for item in ask(TinyTask(), CountingModel("b"), RunSettings())]
    with Cache(tmp_path / "cache") as other:
        assert len(other.claim(keys)) == 8


class Unprepared(MeanBrightness):
    """A metric whose references are missing."""

    def prepare(self) -> None:
        raise DataError("no references")


class UnpreparedTask(TinyTask):
    """A task with that metric."""

    def metrics(self) -> list[AnyMetric]:
        return [Unprepared()]


class DoubledTask(TinyTask):
    """A task that names one sample twice."""

    def samples(self) -> list[Sample]:
        return [Sample("s0", (Text("a"),)), Sample("s0", (Text("b"),))]


def test_what_scoring_lacks_is_told_before_anything_is_asked(cache: Cache, tmp_path: Path) -> None:
    model = CountingModel()
    with pytest.raises(DataError, match="no references"):
        go(cache, model, tmp_path, UnpreparedTask())
    assert not model.asked


def test_two_samples_of_one_id_are_an_error(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="two samples of id 's0'"):
        go(cache, CountingModel(), tmp_path, DoubledTask())


def test_two_processes_share_the_work_and_ask_nothing_twice(tmp_path: Path) -> None:
    models = [CountingModel(), CountingModel()]
    found: list[Run] = []

    def work(model: CountingModel) -> None:
        with Cache(tmp_path / "cache") as cache:
            found.append(go(cache, model, tmp_path / model.name, TinyTask(200), batch=4))

    threads = [threading.Thread(target=work, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = models[0].asked + models[1].asked
    assert set(together.values()) == {1}
    assert len(together) == 200
    assert found[0].estimates == found[1].estimates


def test_a_forecast_counts_calls_and_wastes_none(cache: Cache, tmp_path: Path) -> None:
    model = CountingModel()
    cost = forecast(TinyTask(100), LocalExecutor(model), cache, RunSettings())
    assert (cost.calls, cost.from_cache, cost.measured_on) == (100, 0, 8)
    assert cost.generation_seconds is not None
    assert cost.generation_seconds > 0
    assert cost.disk_bytes is not None
    assert 100 * 150 < cost.disk_bytes < 100 * 1000
    go(cache, model, tmp_path, TinyTask(100))
    assert set(model.asked.values()) == {1}
    assert forecast(TinyTask(100), LocalExecutor(model), cache, RunSettings()).calls == 0
