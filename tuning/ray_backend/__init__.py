"""Trials on Ray. Beside this package only the searcher imports it, for its base class."""
