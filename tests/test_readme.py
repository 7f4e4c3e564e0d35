"""What the README and the pages in docs/ say is so: tables, files, links and options; examples run.

LOG.md is left out: it tells of commands as they were.
"""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pandas as pd
import pytest
import typer
from botocore import xform_name

from lstm_model.configuration import HYPERPARAMETERS

ROOT = Path(__file__).parents[1]
PAGES = {
    str(each.relative_to(ROOT)): each.read_text()
    for each in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if each.name != "LOG.md"
}
README = PAGES["README.md"]
ARCHITECTURE = PAGES["docs/architecture.md"]
SEARCH_SPACE = PAGES["docs/search-space.md"]
# The pages whose examples run one after the other: each takes up what those before have made.
EXAMPLES = README + PAGES["docs/studies.md"]
# The project's own commands: modules with a typer app.
OWN = {
    f"{package}.{file.stem}"
    for package in ("lstm_model", "tuning")
    for file in (ROOT / package).glob("*.py")
    if "\napp = typer.Typer(" in file.read_text()
}
# Options of the AWS command's own, beside those that follow from the services' descriptions.
AWS_S3 = {"mb": set[str](), "sync": {"--exclude", "--include"}}
# Endings of files that are there before any command has run.
SOURCES = (".md", ".py", ".toml", ".txt", ".yaml")

# What a span begins with that is a command, and no file or option.
PROGRAMS = re.compile(r"(\.venv/bin/\S+|python -m|aws|make|optuna-dashboard|pip|ray|tensorboard) ")

page = pytest.mark.parametrize("page", PAGES)
Words = list[str]


def test_every_hyperparameter_is_listed_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", SEARCH_SPACE, re.MULTILINE))
    assert rows == {name: str(each.default) for name, each in HYPERPARAMETERS.items()}


def test_the_tree_is_as_drawn() -> None:
    """What it names is there; no folder is missing, nor any module that stands beside folders."""
    (tree,) = (block for block in blocks(ARCHITECTURE, "") if block.startswith("lstm_model/"))
    drawn: set[Path] = set()
    folders: list[str] = []
    for line in tree.splitlines():
        names = re.split(r" {2,}", line.strip())[0].split()
        folders = folders[: (len(line) - len(line.lstrip())) // 2]
        drawn.update(ROOT.joinpath(*folders, name) for name in names)
        folders.append(names[0])
    assert [str(path) for path in drawn if not path.exists()] == []
    for package in (ROOT / "lstm_model", ROOT / "tuning"):
        commands = set(package.glob("[a-z]*.py"))
        packages = {file.parent for file in package.rglob("__init__.py")}
        assert (commands | packages) <= drawn


def test_every_module_says_its_job_first() -> None:
    for package in ("lstm_model", "tuning"):
        for module in (ROOT / package).rglob("[a-z]*.py"):
            assert ast.get_docstring(ast.parse(module.read_text())), module


def fenced(text: str) -> list[tuple[str, str]]:
    """The code blocks: language and content."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def blocks(text: str, *languages: str) -> list[str]:
    """The contents of the code blocks in these languages."""
    return [content for language, content in fenced(text) if language in languages]


def spans(text: str) -> list[str]:
    """What stands between single backticks: in prose, and in the comments of commands."""
    for block in blocks(text, "", "python", "yaml"):
        text = text.replace(block, "")
    text = re.sub(r"^```.*", "", text, flags=re.MULTILINE)
    return [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", text)]


def typed(text: str) -> list[Words]:
    """The commands in the code blocks: of sh ones all lines, of others those after `$ `."""
    commands = []
    for language, block in fenced(text):
        if language == "sh":
            commands += parsed(block)
        elif not language:
            commands += parsed("\n".join(re.findall(r"^\$ (.*)", block, re.MULTILINE)))
    return commands


def parsed(script: str) -> list[Words]:
    """A script's commands, without comments, redirections and variables set for one command."""
    script = re.sub(r"(^|\s)# .*", r"\1", script).replace("\\\n", " ")
    lexer = shlex.shlex(script, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    found: list[Words] = [[]]
    redirected = False
    for word in lexer:
        if set(word) <= set("<>&") and word != "&":
            redirected = True
        elif set(word) <= set("();|&\n"):
            found.append([])
        elif redirected:
            redirected = False
        elif found[-1] or not re.match(r"[A-Z_]+=", word):
            found[-1].append(word.removeprefix(".venv/bin/"))
    return [command for command in found if command]


def module(command: Words) -> str:
    """X of `python -m X`, else nothing."""
    return command[2] if command[:2] == ["python", "-m"] and len(command) > 2 else ""


def own(name: str) -> Any:
    """What parses the arguments of a command of the project's own: of typer's own copy of click."""
    return typer.main.get_command(importlib.import_module(name).app)


def of_ray(command: Words) -> tuple[Any, Words]:
    """Ray's command, or that of a group of its, and its arguments."""
    from ray.scripts.scripts import cli

    found, rest = cli, command[1:]
    while hasattr(found, "commands") and rest:
        assert rest[0] in found.commands, f"ray has no such command: {shlex.join(command)}"
        found, rest = found.commands[rest[0]], rest[1:]
    return found, rest


@cache
def helped(*start: str) -> set[str]:
    """The options that a program tells of."""
    done = subprocess.run(
        [*start, "--help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout))


def options(command: Words) -> set[str]:
    """The options that a command has; fails where there is no such command."""
    match command:
        case ["aws", "s3", verb, *_]:
            return AWS_S3[verb]
        case ["aws", service, verb, *_]:
            model = botocore.session.get_session().get_service_model(service)
            verbs = {xform_name(name, "-"): name for name in model.operation_names}
            shape = model.operation_model(verbs[verb]).input_shape
            return {f"--{xform_name(name, '-')}" for name in shape.members}
        case ["tensorboard" | "optuna-dashboard" as program, *_]:
            return helped(str(Path(sys.executable).parent / program))
        case ["python", "-m", "pytest", *_]:
            return helped(sys.executable, "-m", "pytest")
        case ["python", "-c", _]:
            return {"-c"}
        case ["pip", verb, *_]:
            return helped(sys.executable, "-m", "pip", verb)
        case ["python", "-m", name, *_] if name not in OWN:
            source = (ROOT / f"{name.replace('.', '/')}.py").read_text()
            # One that has no options would not tell of them, but run.
            tells = len(command) > 3 and "ArgumentParser(" in source
            return helped(sys.executable, "-m", name) if tells else set()
        case ["python", "-m", name, *_]:
            parser = own(name)
        case ["ray", *_]:
            parser, _ = of_ray(command)
        case _:
            raise AssertionError(f"no test knows this command: {shlex.join(command)}")
    return {"--help", *(name for each in parser.params for name in each.opts + each.secondary_opts)}


def check(command: Words, whole: bool) -> None:
    """Raises where a command has no such name, option or value.

    Args:
        whole: it is to be typed as it is, so that nothing it needs may be missing either.
    """
    said = shlex.join(command)
    program, *rest = command
    if program in ("export", "umask"):
        return
    if program == "make":
        check_make(rest)
        return
    if whole and program == "ray":
        parser, arguments = of_ray(command)
        parser.make_context(said, arguments)
    command, inner = split(command)
    rest = command[3:] if module(command) else command[1:]
    used = {word.partition("=")[0] for word in rest if re.match("--?[a-zA-Z]", word)}
    assert used <= options(command), f"no such option: {said}"
    if whole and module(command) in OWN:
        own(module(command)).make_context(said, rest)
    for word in command:
        if word.endswith(SOURCES) and "://" not in word:
            assert exists(word), f"no such file: {said}"
    if inner:
        check(inner, whole)


def split(command: Words) -> tuple[Words, Words]:
    """A command of Ray's and the one that it is to run on the cluster."""
    if command[:3] == ["ray", "job", "submit"] and "--" in command:
        at = command.index("--")
        return command[:at], command[at + 1 :]
    if command[:2] == ["ray", "exec"]:
        return command[:3], shlex.split(command[3])
    return command, []


def check_make(arguments: Words) -> None:
    """Its targets and variables are there, and what it would run that is the project's is sound."""
    for variable in (word.partition("=")[0] for word in arguments if "=" in word):
        assert re.search(rf"\$\((or \$\()?{variable}\)", (ROOT / "Makefile").read_text()), variable
    done = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for command in parsed(done.stdout):
        if command[0] == "ray" or module(command) in OWN:
            check(command, whole=True)


def exists(name: str) -> bool:
    """In the checkout, as a shipped space, or, of a bare name, as a module or a test."""
    folders = ("", "search_spaces", "lstm_model", "tuning", "tests", "tests/tuning")
    return any((ROOT / folder / name).exists() for folder in folders)


@page
def test_what_is_to_be_typed_can_be(page: str) -> None:
    for command in typed(PAGES[page]):
        check(command, whole=True)


@page
def test_options_that_are_named_exist(page: str) -> None:
    """In commands within a sentence, and alone: `--trials`."""
    of_all = {option for name in OWN for option in options(["python", "-m", name])}
    of_all |= options(["tensorboard"])
    for span in spans(PAGES[page]):
        if PROGRAMS.match(span):
            for command in parsed(span):
                check(command, whole=False)
        elif option := re.match(r"--[\w-]+", span):
            assert option[0] in of_all, f"no such option: {span}"


@page
def test_files_that_are_named_exist(page: str) -> None:
    written = {name for _, names in trees() for name in names}
    for span in spans(PAGES[page]):
        top = span.partition("/")[0]
        if re.fullmatch(r"[\w./-]+", span) and top not in ("runs", "data", "best"):
            named = span.endswith(SOURCES) or ("/" in span and top and (ROOT / top).is_dir())
            assert not named or exists(span) or span in written, f"no such file: {span}"


@page
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\[([^\]]*)\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", PAGES[page])
    for text, target, anchor in links:
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), f"no such file: {target}"
        named = text.strip("`")
        beside = (file.parent / named).exists()
        assert not named.endswith(SOURCES) or beside or exists(named), f"no such file: {text}"
        if anchor:
            headings = re.findall(r"^#+ (.*)", file.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]
            assert anchor in anchors, f"no such heading: {target}#{anchor}"


def test_a_mistake_is_told_as_shown(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^multivariate\.yaml:.*", SEARCH_SPACE, re.MULTILINE)
    text = (ROOT / "search_spaces" / "multivariate.yaml").read_text()
    (tmp_path / "multivariate.yaml").write_text(text.replace("  hidden_size: ", "  hiden_size: "))
    done = command_of_ours(tmp_path, ["tuning.run", "--space", "multivariate.yaml", "--check"])
    assert (done.returncode, done.stderr) == (2, f"{shown}\n")


def trees() -> Iterator[tuple[str, list[str]]]:
    """The folders that the pages with examples list: `runs/<study>/` and the names in it."""
    for block in blocks(EXAMPLES, ""):
        if block.startswith("runs/"):
            lines = block.splitlines()
            names = [re.split(r" {3,}", line.strip())[0].split() for line in lines[1:]]
            yield lines[0], [name for line in names for name in line]


def command_of_ours(folder: Path, arguments: Words) -> subprocess.CompletedProcess[str]:
    """`python -m` with these arguments, where no data are to be found."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "LSTM_TUNING_DATA"},
        timeout=300,
        check=False,
    )


class Examples:
    """The pages' commands, with a small budget, and with what the placeholders stand for."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self._printed: dict[str, str] = {}

    @property
    def study(self) -> str:
        """The study that was begun last on its own."""
        found = (self.here / "runs").glob("multivariate-*")
        return max(found, key=lambda each: each.stat().st_mtime_ns).name

    def filled(self, text: str) -> str:
        text = text.replace("STUDY STUDY", "air-univariate air-multivariate")
        text = text.replace("STUDY", self.study) if "STUDY" in text else text
        text = text.replace("air-1", self.study) if "air-1" in text else text
        # A server that nobody has to start.
        text = text.replace("http://127.0.0.1:5000", f"sqlite:///{self.here / 'mlflow.db'}")
        return text.replace("NAME", "again")

    def run(self, command: Words) -> str:
        """What the command prints; what differs in the budget alone runs once."""
        # Of several values of an option the last one holds.
        small = ["--data", "simulated", "--trials", "1", "--max-epochs", "1"]
        more = small if "--space" in command else []
        more = more + ["--trials", "2"] if "--resume" in command else more
        more = more + ["--trials", "4"] if "--initial-from" in command else more  # beside its own
        more = more + ["--finalists", "1", "--seeds", "2"] if "tuning.compare" in command else more
        arguments = [*shlex.split(self.filled(shlex.join(command)))[2:], *more]
        meant = f"{arguments[0]} {own(arguments[0]).make_context('', arguments[1:]).params}"
        if meant not in self._printed:
            done = command_of_ours(self.here, arguments)
            assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
            self._printed[meant] = done.stdout
        return self._printed[meant]


def fixed(printed: str) -> set[str]:
    """The headings of tables and the first words of lines, which are the same in every run."""
    found = re.findall(r"^(?:┃.*|origin,.*|[A-Z]\w+(?: \w+)?(?= {3}))", printed, re.MULTILINE)
    return {" ".join(each.split()) for each in found}


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands of the project's own in the pages, what they print and leave, and the Python."""
    (table,) = (command for command in typed(EXAMPLES) if command[:2] == ["python", "-c"])
    subprocess.run([sys.executable, *table[1:]], cwd=tmp_path, check=True, timeout=60)
    examples = Examples(tmp_path)
    commands = typed(EXAMPLES) + [words for span in spans(EXAMPLES) for words in parsed(span)]
    for command in commands:
        if module(command) in OWN and len(command) > 3:
            examples.run(command)

    for block in blocks(EXAMPLES, ""):
        if block.startswith("$ "):
            (command,) = parsed(block.partition("\n")[0].removeprefix("$ "))
            assert fixed(block)
            assert fixed(block) <= fixed(examples.run(command))

    stand_for = {"study": examples.study, "name": "air", "model": "univariate", "id": "0"}
    for folder, names in trees():
        for name in names:
            path = re.sub(r"<(\w+)>", lambda found: stand_for[found[1]], folder + name)
            assert (tmp_path / path).exists(), f"{folder} has no {name}"

    monkeypatch.chdir(tmp_path)
    (script,) = blocks(README, "python")
    variables: dict[str, Any] = {}
    exec(examples.filled(script), variables)
    found = variables["forecasts"]
    # "A forecast from every row", but for those before which the model has read too little.
    assert found.origins[-1] == pd.Timestamp("2012-12-31 23:00")
    assert len(found.origins) > 8000
    assert found.point.shape == found.bounds[0.95][0].shape == (len(found.origins), 1)
    assert ",".join(found.table().columns) in fixed(README)
