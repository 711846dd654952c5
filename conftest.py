"""Set before any test, or kernel of a notebook, starts, whichever part of them is asked for."""

import os

os.environ["SNN_DATA_DIR"] = "bundled"  # whatever this machine holds

collect_ignore = ["snn_helpers/engine/triton_kernels.py"]  # no examples in it, and there is no Triton for every system
