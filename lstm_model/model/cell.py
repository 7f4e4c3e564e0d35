"""The LSTM's gates, one step at a time, as "Maths Behind LSTMs" has them, the project's seed notes.

Section numbers below are the notes'. Two slips of theirs are put right here: an RNN is a
*recurrent* neural network, and the last product of section 2.3 is the new *short*-term memory.

forecaster.py uses torch.nn.LSTM, which computes the same and much faster; the tests hold the two
against each other. The long-term memory is torch's c, the short-term memory its h.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Weights(NamedTuple):
    """The weights of one stage, the same at every step: each stage of the cell has its own."""

    short_term: Tensor  # (H, H)
    input: Tensor  # (H, F)
    bias: Tensor  # (H,)

    def preactivation(self, short_term: Tensor, x: Tensor) -> Tensor:
        """(STM * its weight) + (input * its weight) + bias: (B, H), (B, F) -> (B, H)."""
        return short_term @ self.short_term.T + x @ self.input.T + self.bias


class Gates(NamedTuple):
    """What one step decided, each (B, H): three gates from 0 to 1, and a memory to add."""

    forget: Tensor  # the fraction of the long-term memory that is kept
    input: Tensor  # the fraction of the potential long-term memory that is added
    potential_long_term: Tensor
    output: Tensor  # the fraction of the potential short-term memory that is passed on


class Memories(NamedTuple):
    """Both memories, each (B, H)."""

    long_term: Tensor
    short_term: Tensor


class Cell(NamedTuple):
    """One LSTM layer: the weights of its four stages."""

    forget: Weights
    input: Weights
    potential: Weights
    output: Weights

    @classmethod
    def from_torch(cls, lstm: torch.nn.LSTM, layer: int = 0) -> "Cell":
        """One layer of a torch.nn.LSTM, which stacks the stages as input, forget, cell, output."""
        short_term = getattr(lstm, f"weight_hh_l{layer}").chunk(4)
        x = getattr(lstm, f"weight_ih_l{layer}").chunk(4)
        # torch keeps two biases of which only the sum matters.
        bias = (getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")).chunk(4)
        input_, forget, potential, output = map(Weights, short_term, x, bias)
        return cls(forget, input_, potential, output)

    def initial(self, batch: int) -> Memories:
        """Both memories are zero at the first step."""
        zero = self.forget.bias.new_zeros(batch, len(self.forget.bias))
        return Memories(zero, zero)

    def step(self, x: Tensor, memories: Memories) -> tuple[Memories, Gates]:
        """One time step: the input (B, F) and the memories before it -> the memories after it."""
        long_term, short_term = memories
        # 2.1 Forget gate: how much of the long-term memory is kept.
        forget = torch.sigmoid(self.forget.preactivation(short_term, x))
        # 2.2 Input gate: a potential long-term memory, times the percentage of it to retain.
        potential = torch.tanh(self.potential.preactivation(short_term, x))
        retained = torch.sigmoid(self.input.preactivation(short_term, x))
        long_term = long_term * forget + potential * retained
        # 2.3 Output gate: a potential short-term memory, times the percentage of it to retain.
        output = torch.sigmoid(self.output.preactivation(short_term, x))
        short_term = torch.tanh(long_term) * output
        return Memories(long_term, short_term), Gates(forget, retained, potential, output)

    def run(self, inputs: Tensor) -> tuple[Memories, Gates]:
        """2.4: the steps repeated over (B, T, F) -> memories and gates, each (B, T, H)."""
        memories = self.initial(inputs.shape[0])
        steps = []
        for x in inputs.unbind(1):
            memories, gates = self.step(x, memories)
            steps.append((*memories, *gates))
        long_term, short_term, *decided = (torch.stack(s, 1) for s in zip(*steps, strict=True))
        return Memories(long_term, short_term), Gates(*decided)
