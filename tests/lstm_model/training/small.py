"""A small configuration, and trainings with it."""

from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.training.trainer import Trainer

SMALL = Configuration(hidden_size=8, chunk_length=20, context_length=6, batch_size=3)


def trained(series: EncodedTable, epochs: int = 3, **changes: object) -> Trainer:
    """A training of all its epochs, with SMALL but for the changes."""
    trainer = Trainer(SMALL.model_copy(update=changes), series, max_epochs=epochs, seed=5)
    for _ in trainer:
        pass
    return trainer
