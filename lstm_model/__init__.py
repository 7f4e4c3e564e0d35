"""One LSTM forecaster: data, model, training, baselines. It knows nothing of studies of many."""

__version__ = "0.1.0"
