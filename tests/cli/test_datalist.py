from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from monai_tff.cli.datalist import datalist
from monai_tff.data.datalist import load_datalist
from monai_tff.errors import DatalistError

app = typer.Typer()
app.command()(datalist)


def invoke(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Twelve subjects with a rest scan each, the last on another grid; oddities in the table."""
    root = tmp_path / "study"
    rows = ["participant_id\tsex\tage\tdx\tfamily_id"]
    for number in range(12):
        folder = root / f"sub-{number:02d}" / "func"
        folder.mkdir(parents=True)
        values = np.full((7, 8, 9 + (number == 11), 3), number, np.int16)
        image = nib.Nifti1Image(values, np.diag([-3.0, 3, 3.5, 1]))
        image.header.set_zooms((3, 3, 3.5, 0.72))
        nib.save(image, folder / f"sub-{number:02d}_task-rest_bold.nii")
        rows.append(f"{number}\t{'FM'[number % 2]}\t{20 + number}\t{'ABC'[number % 3]}\tf{number // 2}")
    rows += ["98\tF\t30\tA\tn/a", "99\tF\t30\tA\tn/a"]
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root


def test_a_datalist_is_written_and_summed_up(cohort: Path, tmp_path: Path) -> None:
    output = tmp_path / "sex.json"
    result = invoke(cohort, "--target", "sex", "--output", output, "--seed", 4, "--ratios", "0.5, 0.25, 0.25")
    assert result.exit_code == 0, result.output
    written = load_datalist(output)
    assert written["split"]["seed"] == 4
    for text in (
        "study: sex (binary)",
        "Grid: differs: 7 x 8 x 9 (11 scans), 7 x 8 x 10 (1 scans)",
        "Voxel size (mm): 3 x 3 x 3.5",
        "Orientation: LAS",
        "TR (s): 0.72",
        "Frames: 3\n",
        "Tasks: rest (12 scans)",
        "Masks: beside 0 of 12 scans",
        "Left out, subjects: no scan: 2 (sub-98, sub-99)",
        "Split by group, stratified by sex, seed 4",
        f"Hash {written['split']['hash']}",
        f"Written to {output}",
    ):
        assert text in result.output
    cells = [line.replace("│", " ").split() for line in result.output.splitlines() if "training" in line]
    assert cells == [["training", "6", "6", "3", "3", "3"]]  # three families of two


def test_a_regression_is_summed_up_with_mean_and_range(cohort: Path, tmp_path: Path) -> None:
    result = invoke(cohort, "--target", "age", "-o", tmp_path / "age.json", "--ratios", "0,0,1")
    assert result.exit_code == 0, result.output
    lines = [line.replace("│", " ").split() for line in result.output.splitlines()]
    assert ["test", "12", "12", "6", "25.5", "20", "to", "31"] in lines
    assert ["training", "0", "0", "0", "-", "-"] in lines


def test_a_cohort_can_be_given_a_name(cohort: Path, tmp_path: Path) -> None:
    # folders of two cohorts may have one name, and their subjects the same IDs
    result = invoke(cohort, "--target", "sex", "--output", tmp_path / "sex.json", "--name", "other study")
    assert result.exit_code == 0, result.output
    assert load_datalist(tmp_path / "sex.json")["name"] == "other study"


def test_choices_reach_the_datalist(cohort: Path, tmp_path: Path) -> None:
    (cohort / "participants.tsv").rename(tmp_path / "labels.tsv")
    options = ["--classes", "C, A", "--table", tmp_path / "labels.tsv", "--task", "rest", "--mask", "nonzero"]
    result = invoke(cohort, "--target", "dx", "-o", tmp_path / "dx.json", *options)
    assert result.exit_code == 0, result.output
    assert load_datalist(tmp_path / "dx.json")["target"]["class_names"] == ["C", "A"]
    assert "Left out, scans: other classes: 4" in result.output


def test_an_existing_file_is_refused_before_any_work(tmp_path: Path, cohort: Path) -> None:
    (tmp_path / "old.json").write_text("{}")
    result = invoke(tmp_path / "no such folder", "--target", "sex", "-o", tmp_path / "old.json")
    assert isinstance(result.exception, DatalistError)
    assert "old.json: exists already" in str(result.exception)
    assert (tmp_path / "old.json").read_text() == "{}"
    assert invoke(cohort, "--target", "sex", "-o", tmp_path / "old.json", "--overwrite").exit_code == 0
    assert json.loads((tmp_path / "old.json").read_text())["name"] == "study"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "weight"], "has no column 'weight', found participant_id, sex, age"),
        (["--target", "sex", "--task", "nback"], "none of 12 scans has task-nback, found task: rest"),
        (["--target", "sex", "--ratios", "a,b"], "--ratios: found 'a,b', expected three numbers"),
        (["--target", "sex", "--ratios", "0.5,0.5"], r"the ratios are \[0.5, 0.5\], expected three shares"),
        (["--target", "sex", "--classes", "F"], "of one class"),
        (["--target", "dx", "--kind", "regression"], "'A' is not a finite number"),
    ],
)
def test_faults_leave_no_file(cohort: Path, tmp_path: Path, options: list[str], message: str) -> None:
    result = invoke(cohort, *options, "-o", tmp_path / "new.json")
    assert result.exit_code != 0
    with pytest.raises(DatalistError, match=message):
        raise result.exception or AssertionError(result.output)
    assert not (tmp_path / "new.json").exists()


def test_folds_are_files_beside_each_other(cohort: Path, tmp_path: Path) -> None:
    output = tmp_path / "sex.json"
    result = invoke(cohort, "--target", "sex", "-o", output, "--folds", 3, "--seed", 2)
    assert result.exit_code == 0, result.output
    names = [f"sex_fold-{number}.json" for number in (1, 2, 3)]
    assert sorted(path.name for path in tmp_path.glob("*.json")) == names
    tested = [record["image"] for name in names for record in load_datalist(tmp_path / name)["test"]]
    assert len(set(tested)) == len(tested) == 12
    assert "Split by group, fold 2 of 3, stratified by" in result.output
    again = invoke(cohort, "--target", "sex", "-o", output, "--folds", 3)
    assert isinstance(again.exception, DatalistError)
    assert "sex_fold-1.json: exists already" in str(again.exception)


def test_what_is_wrong_is_left_out_and_told_by_the_exit_code(cohort: Path, tmp_path: Path) -> None:
    broken = cohort / "sub-05" / "func" / "sub-05_task-rest_bold.nii"
    broken.write_bytes(broken.read_bytes()[:-7])
    result = invoke(cohort, "--target", "sex", "-o", tmp_path / "sex.json")
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.output.splitlines() if line.startswith("Left out: ")]
    assert "sub-05_task-rest_bold.nii: the voxels cannot be read" in line
    written = load_datalist(tmp_path / "sex.json")
    assert sum(len(written[section]) for section in ("training", "validation", "test")) == 11
    assert written["faults"] == [line.removeprefix("Left out: ")]


def test_an_option_of_another_reader_is_refused(cohort: Path, tmp_path: Path) -> None:
    options = ["--cohort", "hcp", "--target", "sex", "--space", "MNI", "-o", tmp_path / "new.json"]
    result = invoke(cohort, *options)
    with pytest.raises(DatalistError, match=r"--space: the reader of hcp takes no such option, expected .*--table"):
        raise result.exception or AssertionError(result.output)


def test_motion_is_summed_up_and_excludes(cohort: Path, tmp_path: Path) -> None:
    for number in range(10):
        path = cohort / f"sub-{number:02d}" / "func" / f"sub-{number:02d}_task-rest_desc-confounds_timeseries.tsv"
        path.write_text(f"framewise_displacement\nn/a\n0.{number}\n0.{number}\n")
    result = invoke(cohort, "--target", "sex", "-o", tmp_path / "sex.json", "--max-mean-fd", 0.65)
    assert result.exit_code == 0, result.output
    assert "Left out, scans: mean FD above 0.65 mm, class F: 1 " in result.output
    assert "Left out, scans: mean FD above 0.65 mm, class M: 2 " in result.output
    assert "Motion (mean FD): median 0.3, 0 to 0.6 mm, 7 of 9 scans" in result.output


def test_what_is_excluded_is_left_out_and_named(cohort: Path, tmp_path: Path) -> None:
    options = ["--exclude", "sub-11", "--exclude", "sub-0[23]/*", "-o", tmp_path / "sex.json"]
    result = invoke(cohort, "--target", "sex", *options)
    assert result.exit_code == 0, result.output
    assert "Left out, scans: excluded by hand: 3 (sub-02/func/" in result.output
    written = load_datalist(tmp_path / "sex.json")
    assert {scan["subject"] for scan in written["others"]} == set()
    assert sum(len(written[section]) for section in ("training", "validation", "test")) == 9


def test_heavy_libraries_wait_for_the_work() -> None:
    code = "import sys, monai_tff.cli.datalist; print([n for n in ('torch', 'monai', 'nibabel') if n in sys.modules])"
    root = Path(__file__).parents[2]
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert shown.stdout.strip() == "[]"
