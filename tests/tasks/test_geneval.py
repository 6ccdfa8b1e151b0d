"""GenEval: the rule on hand-made cases and against a slow transcription, the colours, the official file, whole runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import image_transform
from PIL import Image as PillowImage

from evalkit.cache import Cache
from evalkit.downloads import file_sha256
from evalkit.errors import DataError, UsageError, WeightsError
from evalkit.features.backbones import BACKBONES
from evalkit.features.cache import FeatureCache
from evalkit.features.detections import COCO_CATEGORIES, COCO_IDS, Detections, ordered
from evalkit.features.encoder import Encoder, encoder
from evalkit.features.pictures import Picture
from evalkit.features.segments import Segments, encoded
from evalkit.images import image_of
from evalkit.interfaces import Scored, Task
from evalkit.keys import request_document, sample_seed
from evalkit.metrics.means import MeanMetric
from evalkit.registry import build_task
from evalkit.runner import RunSettings, run
from evalkit.types import Answer, Estimate, Failure, Generation, Job, JsonScalar, Request, Sample, Text
from evalkit.weight_files import Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.model import oracle_model
from evalkit_tasks.geneval_colours import classifier, colours, crop
from evalkit_tasks.geneval_judging import COLOURS, TAGS, Clause, Item, Seen, class_names, is_right, kept, relations
from evalkit_tasks.geneval_metric import GenEvalMetric
from evalkit_tasks.geneval_prompts import COUNTS, read_items
from evalkit_tasks.sources import GENEVAL
from tests.evalkit.features.conftest import photo_like
from tests.tasks.geneval_rule import Found, verdict, words

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "prompt_requests.json"
NAMES = class_names(COCO_CATEGORIES)


def built(folder: Path, options: Mapping[str, str] | None = None, **data: str | Path) -> Task:
    where = Workspace(cache=folder / "cache", offline=True, **data)  # type: ignore[arg-type]
    return build_task("geneval", where, None, options or {})


def seen(*boxes: tuple[float, float, float, float]) -> list[Seen]:
    return [Seen(box, number) for number, box in enumerate(boxes)]


def no_colour(mine: Sequence[Seen], name: str) -> Sequence[str]:
    raise AssertionError("no colour was asked for")


LEFT, RIGHT, LOW = (0.0, 0.0, 10.0, 10.0), (60.0, 0.0, 70.0, 10.0), (0.0, 60.0, 10.0, 70.0)


def test_counting_wants_no_more_and_no_fewer() -> None:
    two = Item("counting", "two cups", (Clause("cup", 2),), (Clause("cup", 3),))
    verdicts = [is_right(two, {"cup": seen(*[LEFT] * n)} if n else {}, no_colour) for n in range(4)]
    assert verdicts == [False, False, True, False]


def test_every_named_object_must_be_there_and_others_may() -> None:
    both = Item("two_object", "a cup and a dog", (Clause("cup", 1), Clause("dog", 1)))
    assert is_right(both, {"cup": seen(LEFT), "dog": seen(LEFT, RIGHT), "cat": seen(LOW)}, no_colour)
    assert not is_right(both, {"cup": seen(LEFT)}, no_colour)


def test_a_place_is_beside_the_surest_of_the_other_class() -> None:
    beside = Item("position", "a dog right of a cup", (Clause("cup", 1), Clause("dog", 1, position=("right of", 0))))
    assert is_right(beside, {"cup": seen(LEFT), "dog": seen(RIGHT)}, no_colour)
    assert not is_right(beside, {"cup": seen(LEFT), "dog": seen(LOW, RIGHT)}, no_colour), "the surest dog is below"
    assert not is_right(beside, {"cup": seen(RIGHT), "dog": seen(LEFT)}, no_colour)
    assert not is_right(beside, {"dog": seen(RIGHT)}, no_colour)


def test_all_of_several_objects_must_be_in_the_place() -> None:
    two = Item("position", "two dogs right of a cup", (Clause("cup", 1), Clause("dog", 2, position=("right of", 0))))
    further = (80.0, 5.0, 90.0, 15.0)
    assert is_right(two, {"cup": seen(LEFT), "dog": seen(RIGHT, further)}, no_colour)
    assert not is_right(two, {"cup": seen(LEFT), "dog": seen(RIGHT, LOW)}, no_colour)


def test_a_colour_is_that_of_the_surest_object() -> None:
    asked: list[tuple[list[int], str]] = []

    def told(mine: Sequence[Seen], name: str) -> Sequence[str]:
        asked.append(([one.number for one in mine], name))
        return ["red"] * len(mine)

    red = Item("colors", "a red cup", (Clause("cup", 1, "red"),))
    assert is_right(red, {"cup": seen(LEFT, RIGHT)}, told)
    assert not is_right(Item("colors", "", (Clause("cup", 1, "blue"),)), {"cup": seen(LEFT)}, told)
    assert not is_right(red, {}, no_colour)
    assert asked == [([0], "cup"), ([0], "cup")], "only the first is looked at, and none where none is there"


@pytest.mark.parametrize(
    ("a", "expected"),
    [
        ((60, 0, 70, 10), {"right of"}),
        ((60, 60, 70, 70), {"right of", "below"}),
        ((0, -60, 10, -50), {"above"}),
        ((1, 1, 11, 11), set()),
        ((60, 25, 70, 35), {"right of"}),
    ],
)
def test_a_relation_is_told_by_the_offset_less_a_tenth(a: tuple[float, ...], expected: set[str]) -> None:
    assert set(relations(a, LEFT)) == expected  # type: ignore[arg-type]


CORNER = st.floats(0, 512, width=32)
BOX = st.tuples(CORNER, CORNER, CORNER, CORNER).map(
    lambda b: [min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])]
)


@given(BOX, BOX)
def test_relations_are_those_of_the_rule(a: list[float], b: list[float]) -> None:
    assert set(relations(tuple(a), tuple(b))) == words(a, b)  # type: ignore[arg-type]


CLASSES = ("cup", "dog", "tv remote")
WANT = st.fixed_dictionaries(
    {"class": st.sampled_from(CLASSES), "count": st.integers(1, 3)},
    optional={"color": st.sampled_from(COLOURS[:2])},
)


@st.composite
def lines(draw: st.DrawFn) -> dict[str, object]:
    include = draw(st.lists(WANT, min_size=1, max_size=3))
    for number, want in enumerate(include):
        if number and draw(st.booleans()):
            word = draw(st.sampled_from(["left of", "right of", "above", "below"]))
            want["position"] = (word, draw(st.integers(0, number - 1)))
    line: dict[str, object] = {"tag": draw(st.sampled_from(["counting", "position"])), "include": include}
    if draw(st.booleans()):
        line["exclude"] = draw(st.lists(WANT, min_size=1, max_size=2))
    return line


SCORES = st.lists(st.integers(20, 99), unique=True, min_size=0, max_size=24)
"""In hundredths: no two alike, for the official order of ties is not defined."""


@settings(deadline=None, max_examples=80)
@given(lines(), SCORES, st.data())
def test_verdicts_are_those_of_the_rule(line: dict[str, object], scores: list[int], data: st.DataObject) -> None:
    placed = [(data.draw(st.sampled_from(CLASSES)), data.draw(BOX), score / 100) for score in scores]
    found: Found = {}
    for name, box, score in placed:
        found.setdefault(name, []).append((box, float(np.float32(score))))
    boxes = np.array([box for _, box, _ in placed], np.float32).reshape(-1, 4)
    categories = np.array([NAMES[name] for name, _, _ in placed], np.int64)
    detections = ordered(boxes, np.array([s for _, _, s in placed], np.float32), categories, 100)
    included, excluded = (_clauses(line.get(part, ())) for part in ("include", "exclude"))

    def colour(box: list[float], name: str) -> str:
        return COLOURS[int(box[0]) % 2]

    ours = is_right(
        Item(str(line["tag"]), "", included, excluded),
        kept(detections, NAMES, str(line["tag"])),
        lambda mine, name: [colour(list(one.box), name) for one in mine],
    )
    assert ours == verdict(line, found, colour)


def _clauses(wanted: Any) -> tuple[Clause, ...]:
    return tuple(Clause(one["class"], one["count"], one.get("color"), one.get("position")) for one in wanted)


def test_at_most_sixteen_of_a_class_are_kept_and_only_the_sure() -> None:
    scores = np.linspace(0.95, 0.2, 30, dtype=np.float32)
    found = ordered(np.zeros((30, 4), np.float32), scores, np.full(30, NAMES["cup"]), 100)
    assert [len(kept(found, NAMES, tag)["cup"]) for tag in ("colors", "counting")] == [16, 2]
    assert kept(found, NAMES, "colors")["cup"][3].number == 3
    assert "dog" not in kept(found, NAMES, "colors")


def test_class_names_are_the_official_ones(shared_data: Path) -> None:
    official = (shared_data / "prompts" / "object_names.txt").read_text(encoding="utf-8").split("\n")[:80]
    assert list(NAMES) == official
    assert list(NAMES.values()) == list(COCO_IDS)


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Encoder, transformers.CLIPModel]:
    """A small random CLIP in the hub's layout, and the model that it is made of."""
    torch.manual_seed(7)
    tower = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        vision_config={**tower, "image_size": 32, "patch_size": 16, "hidden_act": "quick_gelu"},
        text_config={**tower, "hidden_act": "quick_gelu", "vocab_size": 49408, "eos_token_id": 49407},
        projection_dim=48,
    )
    model = transformers.CLIPModel(config).eval()
    path = tmp_path / "clip.bin"
    torch.save(model.state_dict(), path)
    real = BACKBONES["openai-vit-l14"]
    inputs = replace(real.inputs, size=32, short_side=32)
    small = replace(real, dim=48, inputs=inputs, head=32)
    monkeypatch.setenv("EVALKIT_WEIGHTS_CLIP_OPENAI_VIT_L14", str(path))
    merges = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    monkeypatch.setenv("EVALKIT_WEIGHTS_CLIP_MERGES", str(merges))
    file = WeightFile("clip.bin", file_sha256(path), path.stat().st_size, "clip-transformers", "features", "none")
    table = {small.weight: Weight(small.weight, "small", (file,)), "clip-merges": WEIGHTS["clip-merges"]}
    return Encoder(Workspace(cache=tmp_path), small, table), model


def test_colours_are_those_of_the_published_classifier(
    clip: tuple[Encoder, transformers.CLIPModel], tmp_path: Path
) -> None:
    ours, model = clip
    preprocess = image_transform((32, 32), is_train=False)
    tokenizer = open_clip.get_tokenizer("ViT-L-14")
    pictures = [photo_like(seed, 40 + seed, 60) for seed in range(12)]
    said = ["a photo of a {} cup", "a photo of a {}-colored cup", "a photo of a {} object"]
    with torch.inference_mode():
        weights = []
        for colour in COLOURS:
            ids = tokenizer([one.format(colour) for one in said])
            texts = model.text_projection(model.text_model(input_ids=ids).pooler_output)
            mean = torch.nn.functional.normalize(texts, dim=-1).mean(dim=0)
            weights.append(mean / mean.norm())
        planes = torch.stack([preprocess(PillowImage.fromarray(p)) for p in pictures])
        features = model.visual_projection(model.vision_model(pixel_values=planes).pooler_output)
        logits = 100 * torch.nn.functional.normalize(features, dim=-1) @ torch.stack(weights).T
    theirs = [COLOURS[int(place)] for place in logits.argmax(dim=1)]
    with FeatureCache(tmp_path / "features") as cache:
        assert colours(ours, "cup", pictures, cache) == theirs
        np.testing.assert_allclose(classifier(ours, "cup", cache), torch.stack(weights).numpy(), atol=2e-6)
    assert len(set(theirs)) > 1, "one colour for all tests nothing"
    assert colours(ours, "cup", [], None) == []


def test_an_object_is_cut_out_on_grey_as_pillow_cuts_it() -> None:
    picture, inside = photo_like(1, 30, 40), np.zeros((30, 40), np.bool_)
    inside[5:9, 10:20] = True
    one = Seen((8.0, 4.0, 22.0, 12.0))
    whole = PillowImage.fromarray(picture)
    grey = PillowImage.new("RGB", whole.size, color="#999")
    official = PillowImage.composite(whole, grey, PillowImage.fromarray(inside)).crop(one.box)
    assert (crop(picture, one, inside) == np.asarray(official)).all()
    assert (crop(picture, one, None) == np.asarray(whole.crop(one.box))).all()
    assert crop(picture, Seen((5, 5, 5, 5)), None).tolist() == [[[0x99] * 3]]


def test_the_official_file_has_its_553_prompts(shared_data: Path, tmp_path: Path) -> None:
    made = built(tmp_path, data_dir=shared_data / "prompts")
    samples = made.samples()
    assert (len(samples), made.data.stamps) == (4 * 553, ())
    assert Counter(dict(one.strata)["tag"] for one in samples) == {tag: 4 * n for tag, n in COUNTS.items()}
    assert [one.id for one in samples[:5]] == ["00000-0", "00000-1", "00000-2", "00000-3", "00001-0"]
    assert samples[0].parts == samples[3].parts == (Text("a photo of a bench"),)
    assert len({made.request(one, sample_seed(made.name, one.id, 0, 0)).seed for one in samples[:4]}) == 4
    fewer = built(tmp_path, {"pictures": "1"}, data_dir=shared_data / "prompts")
    assert fewer.data.stamps == ("1 instead of 4 pictures a prompt",)


def test_requests_are_those_of_their_version(tmp_path: Path) -> None:
    made = built(tmp_path)
    asked = [made.request(s, sample_seed(made.name, s.id, 0, 0)) for s in made.samples()[:3]]
    rendered = json.loads(json.dumps([request_document(request) for request in asked]))
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert rendered == golden["geneval"], f"{made.name} asks otherwise: raise it"
    assert made.data.stamps == ("demo data",)


LINE = {"tag": "colors", "include": [{"class": "bench", "count": 1, "color": "red"}], "prompt": "a red bench"}
BESIDE = {"class": "dog", "count": 1, "position": ["left of", 0]}


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "holds no prompts"),
        ([{**LINE, "include": []}], "line 1: include"),
        ([LINE, LINE], "line 2: the prompt 'a red bench' stands twice"),
        ([{**LINE, "tag": "style"}], "line 1: tag"),
        ([{**LINE, "prompt": " "}], "line 1: the prompt is empty"),
        ([{**LINE, "prompt": "x" * 10_001}], "10,001 characters"),
        ([{**LINE, "prompt": "a\x00b"}], "NUL"),
        ([{**LINE, "include": [{"class": "bank", "count": 1}]}], "'bank', which is none of GenEval's 80 classes"),
        ([{**LINE, "include": [{"class": "dog", "count": 1, "color": "mauve"}]}], "the colour 'mauve'"),
        ([{**LINE, "include": [{"class": "dog", "count": 0}]}], "line 1: include"),
        ([{**LINE, "include": [BESIDE]}], "clause 0 is beside clause 0, no earlier one"),
        ([{**LINE, "include": [{**BESIDE, "position": ["under", 0]}]}], "line 1: include"),
    ],
)
def test_a_bad_line_says_what_is_wrong(lines: list[Mapping[str, object]], complaint: str, tmp_path: Path) -> None:
    path = tmp_path / GENEVAL.name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(DataError, match=complaint):
        read_items(path, NAMES)


def test_a_missing_file_and_other_data_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="evalkit fetch geneval"):
        built(tmp_path, data="geneval")
    with pytest.raises(UsageError, match="no data named 'coco'"):
        built(tmp_path, data="coco")
    with pytest.raises(UsageError, match="-t detector=mask2former"):
        built(tmp_path, {"detector": "mask2former"}, data="blocksworld")


class Painter:
    """Sees two objects in every picture, a sure one and one that is only sure enough where nothing is counted."""

    name = "painter"
    protocol_fields: Mapping[str, JsonScalar] = {"detector": "painter"}

    def prepare(self) -> None:
        """Need nothing."""

    def pictures(self, pictures: Sequence[Picture], cache: FeatureCache | None = None) -> list[Segments]:
        boxes = np.array([LEFT, RIGHT], np.float32)
        found = Detections(boxes, np.array([0.95, 0.5], np.float32), np.array([NAMES["cup"], NAMES["dog"]]))
        inside = np.ones((80, 80), np.bool_)
        return [Segments(found, 80, 80, (encoded(inside),) * 2) for _ in pictures]


ITEMS = {
    "0-0": Item("single_object", "a cup", (Clause("cup", 1),)),
    "1-0": Item("two_object", "a cup and a dog", (Clause("cup", 1), Clause("dog", 1))),
    "2-0": Item("counting", "a dog", (Clause("dog", 1),), (Clause("dog", 2),)),
    "3-0": Item("position", "a dog left of a cup", (Clause("cup", 1), Clause("dog", 1, None, ("left of", 0)))),
    "3-1": Item("position", "a dog right of a cup", (Clause("cup", 1), Clause("dog", 1, None, ("right of", 0)))),
    "4-0": Item("colors", "a red cup", (Clause("cup", 1, "red"),)),
    "5-0": Item("colors", "any cup", (Clause("cup", 1, "green"),)),
    "6-0": Item("color_attr", "a red cup and a cat", (Clause("cup", 1, "red"), Clause("cat", 1, "red"))),
    "6-1": Item("color_attr", "a red cup", (Clause("cup", 1, "red"),)),
}
PICTURE = image_of(photo_like(9, 80, 80))
SCORED = [Scored(Sample(name, (), (), (), name[0]), Generation((PICTURE,))) for name in ITEMS]


def test_the_overall_number_is_the_mean_of_the_task_means(
    clip: tuple[Encoder, transformers.CLIPModel], tmp_path: Path
) -> None:
    metric = GenEvalMetric({"data": "made"}, Workspace(cache=tmp_path), Painter(), clip[0], ITEMS)
    metric.prepare()
    whole = metric.finish(metric.update(metric.start(), SCORED))
    halves = metric.merge(metric.update(metric.start(), SCORED[4:]), metric.update(metric.start(), SCORED[:4]))
    assert metric.finish(halves) == whole
    values = {name: one.value for name, one in whole.estimates.items() if isinstance(one, Estimate)}
    told = colours(clip[0], "cup", [crop(photo_like(9, 80, 80), Seen(LEFT), None)], None)[0]
    colour = ((told == "red") + (told == "green")) / 2
    assert values["single_object[painter]"] == values["two_object[painter]"] == 1
    assert values["counting[painter]"] == 0, "the dog is not sure enough to be counted"
    assert values["position[painter]"] == 0.5
    assert values["colors[painter]"] == colour
    both = (told == "red") / 2
    assert values["color_attr[painter]"] == both, "there is no cat"
    assert values["geneval[painter]"] == pytest.approx((1 + 1 + 0 + 0.5 + colour + both) / 6)
    some = metric.finish(metric.update(metric.start(), SCORED[:3]))
    assert isinstance(three := some.estimates["geneval[painter]"], Estimate)
    assert three.value == pytest.approx(2 / 3), "of the tasks that were asked"


def test_without_clip_the_other_tasks_are_still_made(tmp_path: Path) -> None:
    here = Workspace(cache=tmp_path, offline=True)
    metric = GenEvalMetric({"data": "made"}, here, Painter(), encoder(here, "openai-vit-l14"), ITEMS)
    with pytest.raises(WeightsError, match=r"(?s)SHA-256.*Without it: --metrics 'single_object\[painter\],two_object"):
        metric.prepare()
    plain = metric.only(["position[painter]", "counting[painter]"])
    plain.prepare()
    made = plain.finish(plain.update(plain.start(), SCORED))
    assert tuple(made.estimates) == ("counting[painter]", "position[painter]")


def test_missing_weights_are_told_of_before_anything_is_asked(shared_data: Path, tmp_path: Path) -> None:
    made = built(tmp_path, data_dir=shared_data / "prompts")
    with pytest.raises(WeightsError, match="mask2former-swin-small-coco"), Cache(tmp_path / "cache") as cache:
        run(made, Silent(), cache, RunSettings(), tmp_path / "runs")


@dataclass
class Silent:
    """Fails the test if it is asked anything."""

    name: str = "silent"
    identity: Mapping[str, JsonScalar] = field(default_factory=lambda: {"model": "silent"})
    capabilities: frozenset[Job] = frozenset({"text-to-image"})

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        raise AssertionError("asked before the weights were found")


def test_the_oracle_is_right_on_blocksworld_and_wrong_pictures_are_not(tmp_path: Path) -> None:
    made = built(tmp_path, {"pictures": "1"})
    model = oracle_model(made.workspace, "", {})
    with Cache(tmp_path / "cache") as cache:
        found, _ = run(made, model, cache, RunSettings(limit=40), tmp_path / "runs")
    values = {name: one.value for name, one in found.estimates.items() if isinstance(one, Estimate)}
    assert set(values) == {f"{name}[oracle]" for name in ("geneval", *TAGS)}
    assert values["geneval[oracle]"] == 1.0
    (metric,) = made.metrics()
    assert isinstance(metric, MeanMetric)
    answers = dict(model.generate([made.request(one, 0) for one in made.samples()[:40]]))
    shifted = [Scored(one, _made(answers[(n + 1) % 40])) for n, one in enumerate(made.samples()[:40])]
    wrong = metric.finish(metric.update(metric.start(), shifted)).estimates["geneval[oracle]"]
    assert isinstance(wrong, Estimate) and wrong.value < 0.5


def _made(answer: Answer) -> Generation:
    assert not isinstance(answer, Failure)
    return answer
