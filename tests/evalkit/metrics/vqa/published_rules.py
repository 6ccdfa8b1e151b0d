r"""The published VQA evaluation, written out slowly and rule by rule, as the reference for the fast one.

The rules are those of visualqa.org/evaluation and of vqaEval.py in GT-Vision-Lab/VQA; each function is one of them.
The table of contractions is the official one in full, keys that no lower-case answer reaches included.
"""

from __future__ import annotations

import re
from fractions import Fraction

_PAIRS = (
    "aint:ain't arent:aren't cant:can't couldve:could've couldnt:couldn't couldn'tve:couldn't've "
    "couldnt've:couldn't've didnt:didn't doesnt:doesn't dont:don't hadnt:hadn't hadnt've:hadn't've "
    "hadn'tve:hadn't've hasnt:hasn't havent:haven't hed:he'd hed've:he'd've he'dve:he'd've hes:he's howd:how'd "
    "howll:how'll hows:how's Id've:I'd've I'dve:I'd've Im:I'm Ive:I've isnt:isn't itd:it'd itd've:it'd've "
    "it'dve:it'd've itll:it'll let's:let's maam:ma'am mightnt:mightn't mightnt've:mightn't've "
    "mightn'tve:mightn't've mightve:might've mustnt:mustn't mustve:must've neednt:needn't notve:not've "
    "oclock:o'clock oughtnt:oughtn't ow's'at:'ow's'at 'ows'at:'ow's'at 'ow'sat:'ow's'at shant:shan't "
    "shed've:she'd've she'dve:she'd've she's:she's shouldve:should've shouldnt:shouldn't shouldnt've:shouldn't've "
    "shouldn'tve:shouldn't've somebody'd:somebodyd somebodyd've:somebody'd've somebody'dve:somebody'd've "
    "somebodyll:somebody'll somebodys:somebody's someoned:someone'd someoned've:someone'd've "
    "someone'dve:someone'd've someonell:someone'll someones:someone's somethingd:something'd "
    "somethingd've:something'd've something'dve:something'd've somethingll:something'll thats:that's "
    "thered:there'd thered've:there'd've there'dve:there'd've therere:there're theres:there's theyd:they'd "
    "theyd've:they'd've they'dve:they'd've theyll:they'll theyre:they're theyve:they've twas:'twas wasnt:wasn't "
    "wed've:we'd've we'dve:we'd've weve:we've werent:weren't whatll:what'll whatre:what're whats:what's "
    "whatve:what've whens:when's whered:where'd wheres:where's whereve:where've whod:who'd whod've:who'd've "
    "who'dve:who'd've wholl:who'll whos:who's whove:who've whyll:why'll whyre:why're whys:why's wont:won't "
    "wouldve:would've wouldnt:wouldn't wouldnt've:wouldn't've wouldn'tve:wouldn't've yall:y'all yall'll:y'all'll "
    "y'allll:y'all'll yall'd've:y'all'd've y'alld've:y'all'd've y'all'dve:y'all'd've youd:you'd youd've:you'd've "
    "you'dve:you'd've youll:you'll youre:you're youve:you've"
)
CONTRACTIONS = dict(pair.split(":") for pair in _PAIRS.split())
NUMBER_WORDS = ["none", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
NUMBERS = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
PUNCTUATION = [";", "/", "[", "]", '"', "{", "}", "(", ")", "=", "+", "\\", "_", "-"]
PUNCTUATION += [">", "<", "@", "`", ",", "?", "!"]


def on_one_line(answer: str) -> str:
    """Line feeds and tabs become blanks, and both ends are stripped."""
    letters = [" " if letter in "\n\t" else letter for letter in answer]
    return "".join(letters).strip()


def without_punctuation(answer: str) -> str:
    """A sign goes where the answer has it beside a blank or has a comma between digits; else it becomes a blank."""
    made = answer
    for sign in PUNCTUATION:
        removed = sign + " " in answer or " " + sign in answer or re.search(r"(\d)(,)(\d)", answer, re.ASCII)
        made = "".join(("" if removed else " ") if letter == sign else letter for letter in made)
    return without_periods(made)


def without_periods(answer: str) -> str:
    """The first 32 periods that no digit follows go."""
    made, gone = "", 0
    for place, letter in enumerate(answer):
        digit_follows = answer[place + 1 : place + 2] in tuple("0123456789")
        if letter == "." and not digit_follows and gone < 32:
            gone += 1
        else:
            made += letter
    return made


def in_plain_words(answer: str) -> str:
    """Lower case; number words to digits; articles dropped; contractions with their apostrophes."""
    kept = []
    for word in answer.lower().split():
        number = str(NUMBERS[NUMBER_WORDS.index(word)]) if word in NUMBER_WORDS else word
        if number not in ("a", "an", "the"):
            kept.append(number)
    for place, word in enumerate(kept):
        if word in CONTRACTIONS:
            kept[place] = CONTRACTIONS[word]
    return " ".join(kept)


def accuracy(prediction: str, answers: list[str]) -> Fraction:
    """The mean, over each annotator left out, of min(1, the others who said the same / 3)."""
    said, people = on_one_line(prediction), [on_one_line(answer) for answer in answers]
    if len(set(people)) > 1:
        people = [in_plain_words(without_punctuation(answer)) for answer in people]
        said = in_plain_words(without_punctuation(said))
    total = Fraction(0)
    for left_out in range(len(people)):
        others = [answer for number, answer in enumerate(people) if number != left_out]
        agreeing = sum(answer == said for answer in others)
        total += min(Fraction(1), Fraction(agreeing, 3))
    return total / len(people)
