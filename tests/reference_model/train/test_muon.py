"""Muon for convolutions and for matrices taken together: what torch's does to each matrix."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cm3leon.train.muon import ConvolutionMuon, StackedMuon


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


@pytest.mark.parametrize("nesterov", [True, False])
def test_matrices_taken_together_move_as_each_alone(nesterov: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((8, 24), (24, 8), (8, 24), (16, 16), (8, 24))
    theirs = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    ours = [nn.Parameter(weight.detach().clone()) for weight in theirs]
    single = torch.optim.Muon(theirs, 0.1, weight_decay=0.2, momentum=0.9, nesterov=nesterov)
    stacked = StackedMuon(ours, 0.1, weight_decay=0.2, momentum=0.9, nesterov=nesterov)
    for step in range(4):
        for one, other in zip(theirs, ours, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        theirs[4].grad = ours[4].grad = None  # a weight that was not asked for stays
        single.step()  # type: ignore[no-untyped-call]
        stacked.step()
        if step == 1:  # a run that was stopped goes on
            stacked.load_state_dict(stacked.state_dict())
    for one, other in zip(theirs, ours, strict=True):
        assert torch.allclose(one, other, atol=1e-3)
    assert not torch.allclose(theirs[0], theirs[4], atol=1e-3)
