"""Muon for convolutions: what torch's does to the matrices that they are."""

from __future__ import annotations

import torch
from torch import nn

from cm3leon.train.muon import ConvolutionMuon


def test_a_convolution_moves_as_the_matrix_that_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(6, 4, 3, 3, generator=generator))
    matrix = nn.Parameter(weight.detach().reshape(6, 36).clone())
    ours = ConvolutionMuon([weight], 0.1, weight_decay=0.01)
    theirs = torch.optim.Muon([matrix], 0.1, weight_decay=0.01, momentum=0.95)
    for _ in range(3):
        gradient = torch.randn(6, 4, 3, 3, generator=generator)
        weight.grad, matrix.grad = gradient, gradient.reshape(6, 36).clone()
        ours.step()
        theirs.step()  # type: ignore[no-untyped-call]
    assert torch.equal(weight.reshape(6, 36), matrix)


def test_gradients_do_not_pile_up() -> None:
    weight = nn.Parameter(torch.ones(3, 2, 1, 1))
    optimizer = ConvolutionMuon([weight], 0.1)
    weight.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.zero_grad()
    assert weight.grad is None
