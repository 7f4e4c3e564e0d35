"""The LSTM's gates, one step at a time, as the mathematics has them.

The notes that this follows have two slips, put right here: an RNN is a *recurrent* neural network,
and the last product of section 2.3 is the new *short*-term memory.

forecaster.py uses torch.nn.LSTM, which is this and much faster; the tests hold the two against each
other. Letters: B batch, F inputs, H hidden units. Long-term memory is torch's c, short-term its h.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Weights(NamedTuple):
    """One stage's weights, the same at every step: each stage of the cell has its own."""

    short_term: Tensor  # (H, H)
    input: Tensor  # (H, F)
    bias: Tensor  # (H,)

    def combine(self, short_term: Tensor, value: Tensor) -> Tensor:
        """(STM * its weight) + (input * its weight) + bias: (B, H), (B, F) -> (B, H)."""
        return short_term @ self.short_term.T + value @ self.input.T + self.bias


class Gates(NamedTuple):
    """What one step decided, each (B, H): shares from 0 to 1, and memories to add."""

    forget: Tensor  # the share of the long-term memory that is kept
    retain: Tensor  # the share of the potential long-term memory that is added
    potential_long_term: Tensor
    output: Tensor  # the share of the potential short-term memory that is passed on


class Memories(NamedTuple):
    """Both memories, each (B, H)."""

    long_term: Tensor
    short_term: Tensor


class Cell(NamedTuple):
    """The weights of the four stages."""

    forget: Weights
    retain: Weights
    potential: Weights
    output: Weights

    @classmethod
    def from_torch(cls, lstm: torch.nn.LSTM, layer: int = 0) -> "Cell":
        """One layer of a torch.nn.LSTM, which stacks the stages as input, forget, cell, output."""
        short_term = getattr(lstm, f"weight_hh_l{layer}").chunk(4)
        value = getattr(lstm, f"weight_ih_l{layer}").chunk(4)
        # torch keeps two biases of which only the sum matters.
        bias = (getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")).chunk(4)
        retain, forget, potential, output = map(Weights, short_term, value, bias)
        return cls(forget, retain, potential, output)

    def initial(self, batch: int) -> Memories:
        """Both memories are zero at the first step."""
        zero = self.forget.bias.new_zeros(batch, len(self.forget.bias))
        return Memories(zero, zero)

    def step(self, value: Tensor, memories: Memories) -> tuple[Memories, Gates]:
        """One time step: the input (B, F) and the memories before it -> the memories after it."""
        long_term, short_term = memories
        # 2.1 Forget gate: how much of the long-term memory is kept.
        forget = torch.sigmoid(self.forget.combine(short_term, value))
        # 2.2 Input gate: a potential long-term memory, times the percentage of it to retain.
        potential = torch.tanh(self.potential.combine(short_term, value))
        retain = torch.sigmoid(self.retain.combine(short_term, value))
        long_term = long_term * forget + potential * retain
        # 2.3 Output gate: a potential short-term memory, times the percentage of it to retain.
        output = torch.sigmoid(self.output.combine(short_term, value))
        short_term = torch.tanh(long_term) * output
        return Memories(long_term, short_term), Gates(forget, retain, potential, output)

    def run(self, values: Tensor) -> tuple[Memories, list[Gates]]:
        """2.4: the steps repeated over (B, T, F) -> memories (B, T, H) and each step's gates."""
        memories = self.initial(values.shape[0])
        steps, gates = [], []
        for value in values.unbind(1):
            memories, decided = self.step(value, memories)
            steps.append(memories)
            gates.append(decided)
        long_term, short_term = (torch.stack(states, 1) for states in zip(*steps, strict=True))
        return Memories(long_term, short_term), gates
