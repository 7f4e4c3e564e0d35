"""Ray reads its settings when it is imported, so they are set before any test module is."""

from tuning import ray_environment

ray_environment.prepare()
