"""What has to be so before any test module is imported."""

import torch

from tuning.ray_backend import environment

# Ray reads its settings when it is imported.
environment.set_environment()
# As in a trial; and on a busy machine a second thread waits longer for the first than it helps.
torch.set_num_threads(1)
