"""What the repository promises about itself: notebooks well kept, one list of dependencies, nothing private."""

import ast
import base64
import os
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import build_notebooks
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REQUIREMENTS = [*PROJECT["project"]["dependencies"], *chain(*PROJECT["project"]["optional-dependencies"].values())]


def name(requirement):
    return re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_well_kept(path):
    assert build_notebooks.faults(path) == []


def test_the_notebooks_are_there_in_order():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{i:02d}" for i in range(len(NOTEBOOKS))] and len(NOTEBOOKS) >= 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_short(path):
    lengths = sorted(len(c.source.splitlines()) for c in nbformat.read(path, 4).cells if c.cell_type == "code")
    assert lengths[len(lengths) // 2] <= 7


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_no_output_checks_an_assertion_checks(path):
    """A cell whose output is not compared, or a later one of its section (it may be folded), asserts what it says."""
    unchecked = []
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code" and ("assert" in cell.source or "training.fit" in cell.source):
            unchecked = []
        elif "nbval-ignore-output" in cell.metadata.get("tags", []) and "plots.show" not in cell.source:
            unchecked.append(cell.source)
        elif cell.cell_type == "markdown" and cell.source.startswith("## "):
            assert not unchecked, unchecked
    assert not unchecked, unchecked


@pytest.mark.parametrize(
    "fault, change",
    [
        ("code cells are not executed 1..n", lambda book: book.cells[-1].update(execution_count=None)),
        ("the first cell should say: runs in about **N s**", lambda book: book.cells[0].update(source="# Title")),
        ("code cell 1: over 12 lines", lambda book: book.cells[-1].update(source="1\n" * 13)),
        (
            "code cell 1: over 25 lines",
            lambda book: book.cells[-1].update(source="1\n" * 26, metadata={"tags": ["hide-input"]}),
        ),
        ("code cell 1: holds a shell or magic line", lambda book: book.cells[-1].update(source="%matplotlib inline")),
        ("code cell 1: holds an absolute path", lambda book: book.cells[-1].update(source="open('/tmp/x')")),
        ("code cell 1: holds an address in code", lambda book: book.cells[-1].update(source="get('http://a.b')")),
        (
            "code cell 1: has a picture without alt text",
            lambda book: book.cells[-1].outputs.append(nbformat.v4.new_output("display_data", {"image/png": "eA=="})),
        ),
        (
            "code cell 1: writes to stderr",
            lambda book: book.cells[-1].outputs.append(nbformat.v4.new_output("stream", name="stderr", text="!")),
        ),
        ("metadata.widgets is saved", lambda book: book.metadata.update(widgets={})),
        (
            "the link to nowhere.ipynb leads nowhere",
            lambda book: book.cells[0].update(source=book.cells[0].source + "[x](nowhere.ipynb)"),
        ),
    ],
)
def test_faults_are_found(fault, change, tmp_path):
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    book.cells = [
        nbformat.v4.new_markdown_cell("# Title\nruns in about **5 s**"),
        nbformat.v4.new_code_cell("1", execution_count=1),
    ]
    path = tmp_path / "00_test.ipynb"
    nbformat.write(book, path)
    assert build_notebooks.faults(path) == []
    change(book)
    nbformat.write(book, path)
    assert build_notebooks.faults(path) == [fault]


def test_run_time_changes_only_when_it_is_off():
    assert build_notebooks.run_time(20, 27) == "runs in about **20 s**"
    assert build_notebooks.run_time(20, 41) == "runs in about **45 s**"
    assert build_notebooks.run_time(5, 0.4) == "runs in about **5 s**"


def test_environment_yml_installs_from_pyproject_with_the_tested_versions():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    lowest = re.match(r">=(3\.\d+)", PROJECT["project"]["requires-python"])[1]
    assert re.search(rf"^  - python={re.escape(lowest)}$", text, re.M)
    assert re.findall(r"^      - (.*)$", text, re.M) == ["--constraint constraints.txt", "--editable .[test]"]
    others = set(re.findall(r"^  - (\S+?)(?:=\S+|:)?$", text, re.M))
    assert others == {"conda-forge", "python", "pip"}, "dependencies belong into pyproject.toml"


@pytest.mark.parametrize("chosen", [None, "ACTIVE"])
def test_threads_that_wait_sleep_unless_the_user_chose_otherwise(chosen):
    """OpenMP reads the variable when torch is imported, so the package sets it before."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    say = "import sys, os, snn_helpers; print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])"
    told = {"OMP_WAIT_POLICY": chosen} if chosen else {}
    printed = subprocess.run([sys.executable, "-c", say], env=env | told, capture_output=True, text=True, check=True)
    assert printed.stdout.split() == ["False", chosen or "PASSIVE"]
    assert re.search(r"^export OMP_WAIT_POLICY \?= PASSIVE$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)


def test_constraints_hold_one_exact_version_of_every_dependency():
    lines = [
        line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in lines)
    exact = {name(line): line.split("==")[1] for line in lines}
    assert len(exact) == len(lines)
    for requirement in REQUIREMENTS:
        assert name(requirement) in exact, requirement
        lower = re.search(r">=([\d.]+)", requirement)
        if lower:
            assert version(exact[name(requirement)]) >= version(lower[1]), requirement


def version(text):
    return tuple(map(int, re.findall(r"\d+", text)))


def test_a_test_that_can_do_without_a_module_says_which_extra_brings_it():
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and "importorskip" in (getattr(n, "attr", "") for n in ast.walk(node)):
                assert any("mark.extra(" in ast.unparse(mark) for mark in node.decorator_list), (path.name, node.name)


def test_every_module_is_packaged():
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "snn_helpers").rglob("__init__.py")}
    assert packages == set(PROJECT["tool"]["setuptools"]["packages"])


def test_files_stay_small():
    for path in (ROOT / "snn_helpers").rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 260, path


def without_hint(body, inside=""):
    """What is public in the body of a module or class and has no type hint: a parameter, a result, an attribute."""
    for node in body:
        if re.match("_(?!_)", getattr(node, "name", "")):
            continue
        if isinstance(node, ast.ClassDef):
            yield from without_hint(node.body, f"{inside}{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            its = node.args
            given = [*its.posonlyargs, *its.args, *its.kwonlyargs, *filter(None, (its.vararg, its.kwarg))]
            if inside and "staticmethod" not in map(ast.unparse, node.decorator_list):
                given = given[1:]  # self
            yield from (f"{inside}{node.name}({one.arg})" for one in given if one.annotation is None)
            if node.returns is None:
                yield f"{inside}{node.name} ->"
        elif inside and isinstance(node, ast.Assign):
            yield from (f"{inside}{ast.unparse(target)}" for target in node.targets)


@pytest.mark.parametrize("path", sorted((ROOT / "snn_helpers").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_what_a_notebook_calls_has_type_hints(path):
    assert list(without_hint(ast.parse(path.read_text(encoding="utf-8")).body)) == []


def test_mypy_checks_every_module_that_a_notebook_calls():
    assert PROJECT["tool"]["mypy"]["files"] == ["snn_helpers/[!_]*.py"]
    assert "\t$(BIN)/mypy\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def imports(path):
    """The modules of the package that a module imports when it is loaded: "encoding", "engine.memory"."""
    package, found = ROOT / "snn_helpers", set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("snn_helpers"):
            place = node.module.split(".")[1:]
            for name in (alias.name for alias in node.names):
                whole = package.joinpath(*place, name)
                is_module = whole.with_suffix(".py").exists() or whole.is_dir()
                found.add(".".join([*place, name] if is_module else place))
    return found - {""}


# what each module may import, of those that come before it: a change is felt only further down
ORDER = """
engine.chain engine.checks engine.context engine.memory engine.kernels engine.triton_kernels engine.pooling
engine.bernoulli engine.hardware engine.recompute
assets data encoding surrogates neurons networks losses training conversion diagnosis conventions recipes weights plots
runs.options runs.distributed runs.checkpoints runs.loop runs.by_recipe runs.settings runs.commands
""".split()


def test_imports_go_one_way():
    for place, module in enumerate(ORDER):
        path = ROOT / "snn_helpers" / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        assert imports(path) <= set(ORDER[:place]), module
    modules = {
        ".".join(path.relative_to(ROOT / "snn_helpers").with_suffix("").parts)
        for folder in (".", "engine", "runs")
        for path in (ROOT / "snn_helpers" / folder).glob("[!_]*.py")
    }
    assert modules == set(ORDER) - {"assets"}


def test_what_is_not_collected_is_there():
    ignored = re.search(r"collect_ignore = \[(.*?)\]", (ROOT / "conftest.py").read_text(encoding="utf-8"))[1]
    assert ignored and all((ROOT / name.strip(' "')).is_file() for name in ignored.split(","))


def test_the_readmes_map_is_the_folder():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.search(r"```\n(snn_helpers/ .*?)```", text, re.S)[1].splitlines()
    package, folder, named = ROOT / "snn_helpers", "", set()
    for line in lines[1:]:
        name, indent = line.split()[0], len(line) - len(line.lstrip())
        if name.endswith("/"):
            folder = name
        named.add(name if indent == 2 else folder + name)
    there = {path.name for path in package.glob("[!_]*.py")}
    there |= {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    there |= {f"{place}/{path.name}" for place in ("engine", "runs") for path in (package / place).glob("[!_]*.py")}
    assert named == there


def test_the_training_knows_no_files_and_no_processes():
    for module, forbidden in (
        ("training", {"diagnosis", "weights", "assets"}),
        ("networks", {"assets", "weights"}),
        ("recipes", {"assets", "weights"}),
    ):
        assert not imports(ROOT / "snn_helpers" / f"{module}.py") & forbidden, module


def test_the_readme_names_every_notebook_and_only_links_that_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert f"(notebooks/{path.name})" in text
    for target in re.findall(r"\]\(([^)#]+)", text) + re.findall(r'src="([^"]+)"', text):
        assert target.startswith("http") or (ROOT / target).exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_readme_gives_the_times_of_the_notebooks_header(path):
    header = nbformat.read(path, 4).cells[0].source
    read, run = re.search(r"Read: about (\d+) min · runs in about \*\*(\d+) s\*\*", header).groups()
    row = next(
        line
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| [") and path.name in line
    )
    assert row.endswith(f"| {read} min | {run} s |")
    if path != NOTEBOOKS[0]:  # which has the map
        mapped = "".join(cell.source for cell in nbformat.read(NOTEBOOKS[0], 4).cells)
        question = row.replace("notebooks/", "").removesuffix(f" {read} min | {run} s |")
        assert question in mapped, "the same question in both"


def test_importing_the_package_loads_nothing_slow_and_prints_nothing():
    code = "import sys, snn_helpers; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("False False\n", "")


def test_the_readmes_heatmap_is_the_picture_of_notebook_02():
    shown = (ROOT / "docs" / "pictures" / "membrane_heatmap.png").read_bytes()
    outputs = [output for cell in nbformat.read(NOTEBOOKS[2], 4).cells for output in cell.get("outputs", [])]
    saved = [base64.b64decode(output.data["image/png"]) for output in outputs if "image/png" in output.get("data", {})]
    assert shown in saved, "python tools/build_pictures.py draws it anew"
