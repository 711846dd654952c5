"""The questions of the notebooks: ``check("02.1", answer)`` judges, ``hint("02.1")`` helps. Neither ever stops Run All.

One file a notebook, ``nbNN_*.py``, with its exercises; ``core.py`` says how answers are judged.
"""

import importlib
import pkgutil

from snn_helpers.exercises.core import check, grade, hint

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)  # registers its exercises

__all__ = ["check", "grade", "hint"]
