"""How each command line of the documents is run by the tests: in one place, to be extended with every new page.

A line that is in no table here runs as it stands, in a folder that `material.py` fills for its document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from command_lines import ROOT, CommandLine

SMALL_NETWORK = {"hidden_size": 32, "max_epochs": 1, "windows_per_scan": 1, "use_tensorboard": "False"}
SMALL_WINDOW = {"window_length": 5, "batch_size": 4}
WITHOUT_DOWNLOAD = {"autoencoder:use_perceptual": "False", "transformer:use_perceptual": "False"}


WITHOUT = tuple(part for step in ("control", "baselines", "explain", "report") for part in ("--without", step))


def sets(*settings: Mapping[str, object]) -> tuple[str, ...]:
    """Settings as options of `run`."""
    return tuple(part for some in settings for key, value in some.items() for part in ("--set", f"{key}={value}"))


def options(*settings: Mapping[str, object]) -> tuple[str, ...]:
    """Settings as options of the stock runner."""
    return tuple(part for some in settings for key, value in some.items() for part in (f"--{key}", str(value)))


@dataclass(frozen=True)
class Adapted:
    """What lines get besides, or instead, so that they take seconds and need no network.

    Attributes:
        pattern: searched in the line, `document: command`.
        added: words at its end.
        replaced: regular expressions of words, and what takes their place.
        why: a reason, where it is not the size.
    """

    pattern: str
    added: tuple[str, ...] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)
    why: str = "the size"


@dataclass(frozen=True)
class Elsewhere:
    """Lines that other tests run.

    Attributes:
        pattern: searched in the line.
        why: they are not run here.
        covered_by: the test that runs the same, or the file of the project that calls it.
    """

    pattern: str
    why: str
    covered_by: str


PAPER = {"spatial_size": [8, 10, 9], "crop": "null", "trim": 0, "voxel_size": "null"}

ADAPTED = (
    Adapted("monai_tff run ", added=sets(SMALL_NETWORK, SMALL_WINDOW, {"autoencoder:window_length": 1})),
    Adapted("monai_tff run ", added=sets(WITHOUT_DOWNLOAD), why="VGG-16 would be downloaded"),
    Adapted("monai_tff run .*paper_hcp", added=sets(PAPER)),
    Adapted("monai_tff run (?!.*runs/tutorial)", added=WITHOUT, why="the tutorial runs them"),
    Adapted("monai_tff run .*runs/tutorial", added=("--without", "explain"), why="the command explain comes later"),
    Adapted("monai_tff explain ", added=("--subjects", "2", "--steps", "16", "--without-label-check")),
    Adapted("monai_tff baseline .*--parcels", replaced={"^100$": "20"}),
    Adapted("monai_tff prepare .*configs/datasets/(?!.*my_)", added=("--layer", "tiny.yaml")),
    Adapted("monai_tff prepare .*--scheduler local", replaced={"^16$": "1"}),
    Adapted("monai_tff check .*--window-length", replaced={"^20$": "5"}),
    Adapted("--cohort abide", added=("--ratios", "0.5,0,0.5"), why="four subjects"),
    Adapted("monai_tff convert ", added=("--layer", "tiny.yaml", "--window-length", "5")),
    Adapted("monai_tff simulate ", added=("--subjects", "24", "--voxel-size", "20", "--frames", "12")),
    Adapted("monai_tff predict bundles/", replaced={"^bundles/": "shared/"}, why="nothing was downloaded"),
    Adapted("monai.bundle run training", added=options(SMALL_NETWORK, SMALL_WINDOW)),
    Adapted("README.*tff_fmri_reconstruction/configs/train", added=("--use_perceptual", "False"), why="VGG-16"),
)

MAKE = "what continuous integration runs itself"
SERVER = "the server needs MONAI Label and its own environment; `make label-test` starts it and asks over HTTP"
SHARE = "docs/how_to/share_a_bundle.md"
BENCHMARK = "minutes of measuring"
END_TO_END = "tests/end_to_end"
ELSEWHERE = (
    Elsewhere(r": make (test|parity|lint|label-test|round-trip|docs)$", MAKE, ".ci/run"),
    Elsewhere(r": make coverage$", "the tests again, counting lines", "Makefile"),
    Elsewhere(r": make (env|label-env|label-sample)$", "makes an environment", "Makefile"),
    Elsewhere(r": make demo$", "the command `demo` at full size", "tests/cli/test_demo.py"),
    Elsewhere(r": source \.venv", "the tests run in the environment that it enters", "Makefile"),
    Elsewhere(r": pip install ", "installs packages", "Makefile"),
    Elsewhere(r"monai_tff serve |: curl ", SERVER, "tests/apps/monailabel/test_answers.py"),
    Elsewhere(r": python benchmarks/|MALLOC_", BENCHMARK, "tests/benchmarks/test_speed.py"),
    Elsewhere(r": dask |--scheduler (slurm|tcp)|sbatch ", "several machines", "tests/data/test_cluster.py"),
    Elsewhere(r": head=|: srun |: torchrun ", "several processes", f"{END_TO_END}/test_processes.py"),
    Elsewhere(r"push_to_hf_hub|huggingface_hub|download", "the hub", f"{END_TO_END}/test_hub.py"),
    Elsewhere("run .*activation_checkpointing", "the demo again", "tests/engines/test_training_network.py"),
    Elsewhere("run long.yaml", "four phases", f"{END_TO_END}/test_long_context.py"),
    Elsewhere("run ucla_schizophrenia.yaml", "the same as of HCP", "docs/how_to/cohort_hcp.md"),
    Elsewhere("resume_a_run.* run ", "a run that is killed", f"{END_TO_END}/test_kill_and_resume.py"),
    Elsewhere("(calibrate_and|start_a_study).* run ", "the same as in the README", "README.md"),
    Elsewhere("README.md: .* baseline ", "as on its page", "docs/how_to/compare_with_baselines.md"),
    Elsewhere("README.md: .* explain ", "as on its page", "docs/how_to/explain_a_prediction.md"),
    Elsewhere("README.md: .* report ", "as on its page", "docs/how_to/read_a_report.md"),
    Elsewhere("(README|tutorial|run_folds).* --folds all", "several trainings", "tests/cli/test_run_folds.py"),
    Elsewhere("tff_fmri_reconstruction/docs", "as those of the other bundle", f"{END_TO_END}/test_stock_command.py"),
    Elsewhere("README.md: .* convert ", "the same as on its page", "docs/how_to/convert_published_weights.md"),
    Elsewhere(r"convert (age|transformer).pth", "as for the first weights", "tests/cli/test_convert.py"),
    Elsewhere(
        r"(README.md|tutorial/\w+.md): .* (export|verify) |predict shared/(tutorial|my_)", "as on its page", SHARE
    ),
    Elsewhere("export .* --version 0.2.0", "a second export", "tests/cli/test_export.py"),
)

OF_THE_SHELL = ("chmod", "python")
"""First words of lines that bash runs as they stand."""

PYTHON = {"75, 93, 81, 20": "8, 10, 9, 5"}
"""What Python in documents gets instead: the grid of a real cohort."""

TOGETHER = (
    ("docs/tutorial/demo.md", "docs/tutorial/your_cohort.md", "docs/tutorial/believe_and_share.md"),
    (SHARE, "docs/how_to/verify_a_bundle.md", "docs/how_to/use_a_bundle.md"),
    (
        "docs/how_to/compare_with_baselines.md",
        "docs/how_to/explain_a_prediction.md",
        "docs/how_to/read_a_report.md",
    ),
)
"""Documents that are followed one after the other, in one folder."""

EXIT_CODES: dict[str, int] = {}
"""Exit codes other than 0, by a pattern of the line."""


def adapted_words(line: CommandLine) -> list[str]:
    """The words that are run for a line."""
    words = line.words
    for rule in ADAPTED:
        if re.search(rule.pattern, str(line)):
            for old, new in rule.replaced.items():
                words = [re.sub(old, new, word) for word in words]
            words += rule.added
    return words


def adapted_python(snippet: str) -> str:
    """The Python that is run for a snippet."""
    for old, new in PYTHON.items():
        snippet = snippet.replace(old, new)
    return snippet


def is_a_mention(line: CommandLine) -> bool:
    """Whether a text names a program or a command without arguments, to speak of it."""
    words = line.words
    bare = words[: 4 if words[:2] == ["python", "-m"] else 2]
    return not line.in_block and words == bare and words[0] != "make"


def elsewhere(line: CommandLine) -> Elsewhere | None:
    """The rule of a line that another test runs."""
    return next((rule for rule in ELSEWHERE if re.search(rule.pattern, str(line))), None)


def exit_code(line: CommandLine) -> int:
    """The exit code that a line is to end with."""
    return next((code for pattern, code in EXIT_CODES.items() if re.search(pattern, str(line))), 0)


def missing_files() -> list[str]:
    """Files named in `covered_by` that are not there."""
    return [rule.covered_by for rule in ELSEWHERE if not (ROOT / rule.covered_by).is_file()]
