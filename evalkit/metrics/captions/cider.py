"""CIDEr-D, which coco-caption calls CIDEr."""

from __future__ import annotations

import numpy as np

from evalkit.metrics.captions.ngrams import MAX_N, Counts
from evalkit.metrics.captions.references import Doubles, Hypotheses, References, vector_norms

SIGMA = 6.0
"""Of the Gaussian penalty on the difference of lengths."""


def cider_d(hypotheses: Hypotheses, references: References) -> Doubles:
    """Return CIDEr-D of each image `(N,)`, 0 to 10; the corpus has their mean. Tables print it times 100.

    For each length n of n-grams, with TF-IDF vectors h and r, Σ min(h, r) r / (|h| |r|), by exp(-Δ² / 2σ²) with Δ the
    difference of lengths in bigrams; the mean over n and the references, times 10. The document frequencies are those
    of `references`, the ones being evaluated: a subset has others, so its CIDEr-D compares with nothing else, and of
    one image it is 0.

    Source: Vedantam et al. 2015, arXiv:1411.5726, as coco-caption has it: lengths are counted in bigrams.
    """
    bigrams = np.maximum(references.lengths - 1, 0)
    gaps = np.maximum(hypotheses.lengths - 1, 0)[references.image] - bigrams
    penalty = np.exp(-np.square(gaps) / (2 * SIGMA**2))
    likeness = np.zeros(len(references.image))
    for n in range(MAX_N):
        likeness += _cosines(hypotheses.counts[n], references, n) * penalty
    summed = np.bincount(references.image, likeness, references.images)
    scores: Doubles = summed / MAX_N / references.per_image * 10.0
    return scores


def _cosines(mine: Counts, references: References, n: int) -> Doubles:
    """Return the clipped cosine of each reference and its image's hypothesis `(R,)`, over n-grams of length n + 1."""
    theirs, idf, norms = references.counts[n], references.idf[n], references.norms[n]
    ours = mine.at(references.image[theirs.text], theirs.gram)
    weights = idf[theirs.gram]
    products = np.minimum(ours, theirs.count) * theirs.count * np.square(weights)
    sums = np.bincount(theirs.text, products, len(norms))
    lengths = vector_norms(mine, _idf_of_all(mine, idf, references.images), references.images)[references.image] * norms
    found: Doubles = sums / np.where(lengths == 0, 1.0, lengths)
    return found


def _idf_of_all(mine: Counts, idf: Doubles, images: int) -> Doubles:
    unseen = 1 + int(mine.gram.max(initial=-1)) - len(idf)
    return np.concatenate([idf, np.full(max(unseen, 0), np.log(float(images)))])
