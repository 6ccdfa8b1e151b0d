"""What BLEU and CIDEr-D need to know about a set of references: made once, used for any number of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evalkit.metrics.captions.ngrams import Counts, Integers, gram_counts, numbered, vocabulary

Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class References:
    """Statistics of the references of N images; tuples have an item for each length of n-grams.

    `image` `(R,)` is the image of each reference, `per_image` `(N,)` how many it has, `lengths` `(R,)` are in words.
    `counts` are by reference, `most` by image: the largest count in any one reference. `idf` is by the n-gram's
    number, `norms` `(R,)` are of the TF-IDF vectors.
    """

    vocabulary: dict[str, int]
    codes: tuple[Integers, ...]
    image: Integers
    per_image: Integers
    lengths: Integers
    counts: tuple[Counts, ...]
    most: tuple[Counts, ...]
    idf: tuple[Doubles, ...]
    norms: tuple[Doubles, ...]

    @property
    def images(self) -> int:
        """N, the number of images."""
        return len(self.per_image)

    def hypotheses(self, texts: Sequence[str]) -> Hypotheses:
        """Return the counts of one tokenised caption an image, n-grams numbered as in the references.

        Raises:
            ValueError: there are not as many captions as images.
        """
        if len(texts) != self.images:
            raise ValueError(f"{len(texts)} captions for {self.images} images; each image needs one")
        captions = numbered(texts, vocabulary(self.vocabulary))
        counts, _ = gram_counts(captions, self.codes)
        return Hypotheses(captions.lengths, counts)


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """One caption an image: `lengths` `(N,)` in words, and the counts of its n-grams."""

    lengths: Integers
    counts: tuple[Counts, ...]


def references(texts: Sequence[Sequence[str]]) -> References:
    """Return the statistics of the tokenised references of each image.

    Raises:
        ValueError: an image has no reference.
    """
    per_image = np.fromiter((len(one) for one in texts), np.int64, len(texts))
    if per_image.min(initial=1) == 0:
        raise ValueError(f"image {int(per_image.argmin())} has no reference; each image needs one")
    known = vocabulary({})
    captions = numbered([text for one in texts for text in one], known)
    counts, codes = gram_counts(captions)
    image = np.repeat(np.arange(len(texts)), per_image)
    most = tuple(_largest(one, image) for one in counts)
    sizes = (len(known), *(len(one) for one in codes))
    idf = tuple(inverse_document_frequency(one, size, len(texts)) for one, size in zip(most, sizes, strict=True))
    norms = tuple(vector_norms(one, weights, len(image)) for one, weights in zip(counts, idf, strict=True))
    return References(dict(known), codes, image, per_image, captions.lengths, counts, most, idf, norms)


def _largest(counts: Counts, image: Integers) -> Counts:
    """Return the largest count of each n-gram in any one text of each image."""
    if len(counts.gram) == 0:
        return counts
    grams, highest = 1 + int(counts.gram.max()), 1 + int(counts.count.max())
    rows = np.sort((image[counts.text] * grams + counts.gram) * highest + counts.count)
    last = np.append(rows[1:] // highest != rows[:-1] // highest, True)
    keys, most = rows[last] // highest, rows[last] % highest
    return Counts(keys // grams, keys % grams, most)


def inverse_document_frequency(by_image: Counts, size: int, images: int) -> Doubles:
    """Return log N - log(images whose references hold it) of each n-gram `(size,)`."""
    frequency = np.bincount(by_image.gram, minlength=size)
    weights: Doubles = np.log(float(max(images, 1))) - np.log(np.maximum(frequency, 1.0))
    return weights


def vector_norms(counts: Counts, weights: Doubles, texts: int) -> Doubles:
    """Return the norm of each text's TF-IDF vector `(texts,)`; `weights` are the IDF by the n-gram's number."""
    norms: Doubles = np.sqrt(np.bincount(counts.text, np.square(counts.count * weights[counts.gram]), texts))
    return norms
