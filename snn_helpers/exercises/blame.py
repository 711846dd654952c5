"""Where in the learner's own code an error came from."""

import functools
import inspect
import linecache
import os
import sysconfig
import traceback
from pathlib import Path

# what lies in here is nobody's answer: the package, and Python with what was installed into it
_LIBRARIES = (str(Path(__file__).parents[1]), *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")))
_INSTALLED = ("site-packages", "dist-packages")


def own_line(error, function):
    """In words: the last line of the learner on the way to the error, even if the error was raised in a library."""
    code = getattr(_innermost(function), "__code__", None)
    file_of_function = code and code.co_filename
    steps = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [step for step in steps if _is_own(step[0].co_filename, file_of_function)]
    if not own:
        name = getattr(function, "__qualname__", type(function).__name__)
        return f" (inside {name}, at no line of your own)"
    code, line = own[-1]
    text = linecache.getline(code.co_filename, line).strip() or "?"
    through = "" if steps[-1] == own[-1] else f"inside {steps[-1][0].co_name}, called from "
    where = Path(code.co_filename).name if os.path.exists(code.co_filename) else "its cell"
    return f" ({through}line {line} of {where}: {text})"


def first_line(error):
    """The kind of an error and the first line of what it says."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _is_own(file, file_of_function):
    if file.startswith("<") and not file.startswith("<ipython-input"):
        return file == file_of_function and not file.startswith("<frozen")
    if any(folder in Path(file).parts for folder in _INSTALLED):
        return False
    return not any(Path(file).is_relative_to(folder) for folder in _LIBRARIES)


def _innermost(function):
    """What is really called: without decorators and partial, of a method or an object its function."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if hasattr(function, "__code__") else type(function).__call__
