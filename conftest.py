"""Set before any test, or kernel of a notebook, starts, whichever part of them is asked for."""

import os

# the bundled digits, whatever this machine holds; and threads that do not spin while they wait for work
os.environ |= {"SNN_DATA_DIR": "bundled", "OMP_WAIT_POLICY": "PASSIVE"}

collect_ignore = ["snn_helpers/triton_kernels.py"]  # no examples in it, and there is no Triton for every system
