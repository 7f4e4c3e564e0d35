"""What has to be so before any test module is imported."""

import torch

from tuning import ray_environment

# Ray reads its settings when it is imported.
ray_environment.prepare()
# As in a trial; and on a busy machine a second thread waits longer for the first than it helps.
torch.set_num_threads(1)
