"""Where each token of a document stands, which depends on what stands before it alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cm3leon.vocab import Vocabulary

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PlaceTable:
    """What `(N, T)` ids mean for their places; `kinds` `(vocabulary,)` is 0 for text, 1 for codes, 2 for the rest."""

    kinds: npt.NDArray[np.int8]
    pad: int
    break_: int
    cells: int
    """Codes a picture."""

    def of(self, ids: Ints) -> tuple[Ints, Ints, Ints]:
        """Return offset, segment and cell, `(N, T)` each, of rows of ids.

        `offset` counts from the last mark, 0 within pictures; `segment` counts the breaks before; `cell` is 1 + the
        place in a picture's grid, 0 outside.
        """
        steps = np.arange(ids.shape[1])
        kinds = self.kinds[ids]
        code = kinds == 1
        starts = code & ~np.pad(code, ((0, 0), (1, 0)))[:, :-1]
        since_start = steps - np.maximum.accumulate(np.where(starts, steps, 0), axis=1)
        since_mark = steps - np.maximum.accumulate(np.where(kinds != 0, steps, 0), axis=1)
        breaks = np.cumsum(ids == self.break_, axis=1) - (ids == self.break_)
        return since_mark, breaks, np.where(code, since_start % self.cells + 1, 0)


def place_table(vocabulary: Vocabulary, cells: int) -> PlaceTable:
    """Return the table of a vocabulary whose pictures have `cells` codes."""
    # Chameleon's reserved names are neither text nor marks
    kinds = np.array([0 if vocabulary.is_text(token) else 2 for token in range(vocabulary.size)], np.int8)
    marks = vocabulary.marks
    kinds[list(vocabulary.codes)] = 1
    return PlaceTable(kinds, marks.pad, marks.break_, cells)
