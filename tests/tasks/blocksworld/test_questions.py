from __future__ import annotations

import re
from collections import Counter

import pytest

from evalkit_tasks.blocksworld import questions as module
from evalkit_tasks.blocksworld.questions import Question, question_type, questions
from evalkit_tasks.blocksworld.scene import COLOURS, STRATA, Background, Block, Scene, arranged, scene
from evalkit_tasks.blocksworld.shapes import SHAPES, SIZES, TEXTURES


@pytest.fixture(scope="module")
def all_asked() -> list[tuple[Scene, Question]]:
    found = []
    for stratum in STRATA:
        for seed in range(150):
            drawn = scene(seed, stratum)
            found += [(drawn, question) for question in questions(drawn, seed)]
    return found


def fitting(drawn: Scene, words: str) -> int:
    """How many blocks have every attribute that `words` names: a second, plainer reading of a description."""
    found = 0
    for block in drawn.blocks:
        has = {block.shape, block.colour, block.size, block.texture}
        named = [w.rstrip("s") if w.rstrip("s") in SHAPES else w for w in words.replace("-sized", "").split()]
        named = ["cross" if w in {"crosse", "cros", "crosses"} else w for w in named]
        known = [w for w in named if w in {*SHAPES, *COLOURS, *SIZES, *TEXTURES}]
        found += all(w in has for w in known)
    return found


def test_questions_have_ten_answers_of_which_most_are_true(all_asked: list[tuple[Scene, Question]]) -> None:
    for _, question in all_asked:
        replies = Counter(reply.answer for reply in question.replies)
        assert len(question.replies) == 10
        assert replies.most_common(1)[0][0] == question.answer
        assert replies[question.answer] >= 6
        assert question.text.endswith("?")
        assert question.text[0].isupper()


def test_annotators_differ_in_some_questions_only(all_asked: list[tuple[Scene, Question]]) -> None:
    unanimous = sum(len({reply.answer for reply in question.replies}) == 1 for _, question in all_asked)
    assert 0.1 < unanimous / len(all_asked) < 0.6
    assert {reply.confidence for _, question in all_asked for reply in question.replies} == {"yes", "maybe", "no"}


def test_all_three_answer_types_occur_and_none_rules(all_asked: list[tuple[Scene, Question]]) -> None:
    kinds = Counter(question.answer_type for _, question in all_asked)
    assert all(0.2 < kinds[kind] / len(all_asked) < 0.45 for kind in ("yes/no", "number", "other"))
    decided = Counter(question.answer for _, question in all_asked if question.answer_type == "yes/no")
    assert set(decided) == {"yes", "no"}
    assert 0.4 < decided["yes"] / decided.total() < 0.6


def test_counts_are_right_by_a_plainer_reading(all_asked: list[tuple[Scene, Question]]) -> None:
    pattern = re.compile(r"How many (.+) (?:are there|are in the picture|do you see)\?")
    matched = [(d, q, m[1]) for d, q in all_asked if (m := pattern.fullmatch(q.text))]
    assert len(matched) > 200
    for drawn, question, words in matched:
        assert question.answer == str(fitting(drawn, words)), question


def test_existence_is_right_by_a_plainer_reading(all_asked: list[tuple[Scene, Question]]) -> None:
    pattern = re.compile(r"(?:Is there an?|Are there any) (.+?)(?: in the picture)?\?")
    matched = [(d, q, m[1]) for d, q in all_asked if (m := pattern.fullmatch(q.text))]
    assert len(matched) > 80
    for drawn, question, words in matched:
        assert question.answer == ("yes" if fitting(drawn, words) else "no"), question


def test_what_is_asked_about_is_there_once(all_asked: list[tuple[Scene, Question]]) -> None:
    pattern = re.compile(r"What (color|size) is the ((?!background).+?)\?")
    matched = [(d, q, m) for d, q in all_asked if (m := pattern.fullmatch(q.text)) and " at " not in m[2]]
    assert matched
    for drawn, question, match in matched:
        if " on the " in match[2] or " in the " in match[2]:
            continue
        assert fitting(drawn, match[2]) == 1
        assert fitting(drawn, f"{match[2]} {question.answer}") == 1


def test_questions_of_a_scene_differ_and_come_again() -> None:
    drawn = scene(4, "easy")
    found = questions(drawn, 9, 8)
    assert len({question.text for question in found}) == 8
    assert found == questions(drawn, 9, 8)


def test_question_types_are_the_longest_official_ones() -> None:
    assert question_type("What color is the star?") == "what color is the"
    assert question_type("What is the color of the star?") == "what is the color of the"
    assert question_type("Is there an orange star?") == "is there"
    assert question_type("Is there a star?") == "is there a"
    assert question_type("Whose star?") == "none of the above"


def test_answers_about_a_known_scene_are_those_a_person_gives() -> None:
    known = arranged(
        [Block("circle", "red", "large", "striped", 50, 128), Block("star", "blue", "small", "solid", 205, 128)],
        Background("mint", "checkered"),
    )
    told = {question.text: question.answer for seed in range(2000) for question in questions(known, seed)}
    right = {
        "Is the circle larger than the star?": "yes",
        "Is the star bigger than the circle?": "no",
        "Is the circle to the left of the star?": "yes",
        "Is the star to the left of the circle?": "no",
        "Is the circle red?": "yes",
        "Is the star red?": "no",
        "Is the circle striped?": "yes",
        "Is the star dotted?": "no",
        "Is the circle on the left?": "yes",
        "Is the background mint?": "yes",
        "Is the background white?": "no",
        "Is the background checkered?": "yes",
        "What is to the right of the circle?": "star",
        "What is to the left of the star?": "circle",
        "What shape is on the right?": "star",
        "What color is the background?": "mint",
        "What size is the circle?": "large",
        "What pattern is on the circle?": "stripes",
        "Where is the star?": "right",
        "How many shapes are there?": "2",
        "How many of the shapes are striped?": "1",
        "How many different colors do the shapes have?": "2",
    }
    assert {text: told.get(text) for text in right} == right


def test_a_scene_that_runs_out_of_one_type_is_asked_by_the_others() -> None:
    twins = tuple(Block("triangle", "purple", "small", "solid", x, y) for x, y in ((160, 26), (97, 69)))
    asked = questions(Scene(twins, Background("lavender", "checkered")), 1_006_826, 8)
    assert len({found.text for found in asked}) == 8
    assert sum(found.answer_type == "other" for found in asked) < 3


def test_a_scene_that_runs_out_of_questions_gives_those_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TRIES", 5)
    lone = Scene((Block("star", "red", "large", "solid", 128, 128),), Background("white", "plain"))
    asked = questions(lone, 7, 10_000)
    assert 8 <= len({found.text for found in asked}) == len(asked) < 10_000
