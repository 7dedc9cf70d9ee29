"""What the server answers: the numbers of the predictor for every kind of bundle, and sentences for what it refuses."""

from __future__ import annotations

import gzip
import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import requests
from monailabel.client.client import MONAILabelClient

from monai_tff.bundle.predictor import Predictor

KINDS = {"sex": "classification", "site": "classification", "age": "regression"}


def predicted(bundle: Path, scan: Path) -> dict[str, Any]:
    """What the predictor says in this process, in the server's form."""
    prediction = Predictor(bundle).predict(scan)
    (first, *_) = prediction.scores.values()
    said = {"score": prediction.scores, "spread": prediction.spread, "windows": list(prediction.windows)}
    return {**said, "label": first if prediction.label is None else prediction.label}


@pytest.mark.parametrize("model", list(KINDS))
def test_answers_are_those_of_the_predictor(
    server: Any, bundles: dict[str, Path], studies: Path, images: list[str], model: str
) -> None:
    answer = server.infer(model, images[0])
    assert answer.status_code == 200
    found = answer.json()
    expected = predicted(bundles[model], studies / f"{images[0]}.nii.gz")
    assert {name: found[name] for name in expected} == json.loads(json.dumps(expected))
    assert [found["model"], found["image"], found["kind"]] == [model, images[0], KINDS[model]]
    assert found["contract"] == json.loads(json.dumps(Predictor(bundles[model]).contract.to_dict()))
    assert found["version"] == json.loads((bundles[model] / "configs" / "metadata.json").read_text())["version"]
    assert "Research only" in found["note"]
    assert "variability within the scan" in found["spread_meaning"]


def test_reconstructions_are_those_of_the_predictor(
    server: Any, bundles: dict[str, Path], studies: Path, images: list[str]
) -> None:
    expected = Predictor(bundles["reconstruction"]).reconstruct(studies / f"{images[0]}.nii.gz")
    answer = server.ask("POST", "/infer/reconstruction", params={"image": images[0], "output": "image"})
    assert answer.content == expected
    assert "desc-reconstruction" in answer.headers["content-disposition"]
    volumes = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    assert volumes.shape == (8, 10, 9, 12)
    both = server.infer("reconstruction", images[0])
    assert both.headers["content-type"].startswith("multipart/form-data")
    assert expected in both.content
    told = server.ask("POST", "/infer/reconstruction", params={"image": images[0], "output": "json"}).json()
    assert [told["kind"], told["target"]] == ["reconstruction", None]


def test_exported_bundles_from_a_zip_file_and_a_folder(
    start: Callable[..., Any], exports: Callable[[str], Any], studies: Path, images: list[str]
) -> None:
    site, reconstruction = exports("site"), exports("reconstruction")
    server = start(site.archive, reconstruction.folder, "--studies", studies)
    found = server.infer(site.name, images[0]).json()
    expected = predicted(site.folder, studies / f"{images[0]}.nii.gz")
    assert {name: found[name] for name in expected} == json.loads(json.dumps(expected))
    assert found["version"] == site.version
    volumes = server.ask("POST", f"/infer/{reconstruction.name}", params={"image": images[0], "output": "image"})
    assert volumes.content == Predictor(reconstruction.folder).reconstruct(studies / f"{images[0]}.nii.gz")
    assert server.stop() == 0
    assert list(server.temporary.glob("*")) == []


def test_monai_labels_own_client(server: Any, images: list[str], tmp_path: Path, bundles: dict[str, Path]) -> None:
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
    assert set(client.info()["models"]) == set(bundles)
    assert set(images) <= set(client.datastore()["objects"])
    file, answer = client.infer("age", images[1], {})
    assert [file, json.loads(answer)["image"]] == [None, images[1]]
    file, answer = client.infer("reconstruction", images[1], {})
    assert nib.load(Path(file)).shape == (8, 10, 9, 12)
    assert answer["model"] == "reconstruction"


def test_info(server: Any) -> None:
    info = server.ask("GET", "/info/").json()
    assert {name: model["type"] for name, model in info["models"].items()} == {
        **{"sex": "classification", "site": "classification", "age": "others", "reconstruction": "others"}
    }
    assert info["models"]["sex"]["labels"] == ["F", "M"]
    assert info["models"]["sex"]["contract"]["spatial_size"] == [8, 10, 9]
    assert info["models"]["age"]["target"] == {"name": "age", "kind": "regression", "class_names": []}
    assert info["datastore"]["total"] == 7


def test_datastore(server: Any, images: list[str], studies: Path) -> None:
    assert len(images) == 4
    scan = studies / f"{images[0]}.nii.gz"
    assert server.ask("GET", "/datastore/image", params={"image": images[0]}).content == scan.read_bytes()
    assert server.ask("HEAD", "/datastore/image", params={"image": images[0]}).status_code == 200
    other = {"image": images[0], "check_sum": "SHA256:" + 64 * "0"}
    assert server.ask("HEAD", "/datastore/image", params=other).status_code == 404
    info = server.ask("GET", "/datastore/image/info", params={"image": images[0]}).json()
    assert [info["bytes"], info["ext"]] == [scan.stat().st_size, ".nii.gz"]
    pairs = server.ask("GET", "/datastore", params={"output": "train"}).json()
    assert set(images) <= {pair["image"] for pair in pairs}


@pytest.mark.parametrize("output", ["json", "all"])
def test_an_uploaded_scan(server: Any, images: list[str], studies: Path, output: str) -> None:
    scan = studies / f"{images[2]}.nii.gz"
    files = {"file": ("../../evil.nii.gz", scan.read_bytes())}
    found = server.ask("POST", "/infer/sex", params={"output": output}, files=files).json()
    expected = server.infer("sex", images[2]).json()
    assert found["image"] == "upload"
    # the sidecar stays behind, and with it a mask that it may name
    assert found["label"] == expected["label"]
    plain = {"file": gzip.decompress(scan.read_bytes())}
    assert server.ask("POST", "/infer/sex", files=plain).json()["score"] == found["score"]
    assert list(server.temporary.glob("monai_tff_*")) == []


@pytest.mark.parametrize(
    ("path", "arguments", "status", "sentence"),
    [
        pytest.param("/infer/nothing?image=IMAGE", {}, 404, "There is no such model", id="unknown model"),
        pytest.param("/infer/sex?image=nothing", {}, 404, "There is no such image", id="unknown image"),
        pytest.param("/infer/sex", {}, 422, "Expected either an image", id="neither image nor file"),
        pytest.param("/infer/sex?image=IMAGE", {"files": {"file": b"x"}}, 422, "Expected either", id="image and file"),
        pytest.param("/infer/sex?image=IMAGE&output=image", {}, 422, "does not give this output", id="output"),
        pytest.param("/infer/sex?image=IMAGE&output=dicom_seg", {}, 422, "does not give", id="dicom"),
        pytest.param("/infer/sex?image=IMAGE&session_id=1", {}, 422, "unknown one", id="session"),
        pytest.param("/infer/sex?image=IMAGE&image=IMAGE", {}, 422, "a name twice", id="image twice"),
        pytest.param("/infer/sex", {"files": {"file": b"no scan"}}, 422, "is no NIfTI", id="no NIfTI"),
        pytest.param("/infer/sex", {"files": {"file": b"\x1f\x8bno scan"}}, 422, "is no NIfTI", id="no gzip"),
        pytest.param("/infer/sex?image=IMAGE", {"files": {"label": b"x"}}, 422, "unknown one", id="label file"),
        pytest.param("/infer/sex?image=IMAGE", {"json": {}}, 415, "multipart/form-data", id="JSON body"),
        pytest.param("/batch/infer/nothing", {}, 404, "There is no such model", id="batch of unknown model"),
        pytest.param("/batch/infer/sex?images=some", {}, 422, "Expected images all", id="batch of some"),
        pytest.param("/batch/infer/sex", {"data": "[1]"}, 422, "no JSON object", id="batch of a list"),
        pytest.param("/batch/infer/sex", {"data": "x" * 70_000}, 413, "longer than", id="batch of much"),
    ],
)
def test_what_is_refused(
    server: Any, images: list[str], path: str, arguments: dict[str, Any], status: int, sentence: str
) -> None:
    answer = server.ask("POST", path.replace("IMAGE", images[0]), **arguments)
    assert [answer.status_code, sentence in answer.json()["detail"]] == [status, True], answer.text


@pytest.mark.parametrize(
    "values",
    [
        *({name: "/etc/passwd"} for name in ("image", "model_filename", "model", "session", "upload", "result_folder")),
        *({"label_tag": tag} for tag in ("../up", "/tmp", "a/b", "", ".hidden", "a" * 65, 3)),
        *({"save_label": value} for value in ("true", 1, None)),
    ],
    ids=lambda values: json.dumps(values)[:40],
)
def test_parameters_redirect_nothing(server: Any, images: list[str], values: dict[str, Any]) -> None:
    answer = server.infer("sex", images[0], data={"params": json.dumps(values)})
    assert answer.status_code == 422
    assert "passwd" not in answer.text


@pytest.mark.parametrize("params", ["{", "3", "null3", "[" * 5000, '{"a": NaN'])
def test_parameters_must_be_json(server: Any, images: list[str], params: str) -> None:
    assert server.infer("sex", images[0], data={"params": params}).status_code == 422


def test_a_scan_of_another_grid(server: Any) -> None:
    image = "sub-9001/func/sub-9001_task-rest_bold"
    answer = server.infer("sex", image)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{image}: the grid after the crop is ")
    assert "expected 8 x 10 x 9" in answer.json()["detail"]


def test_a_broken_scan(server: Any, studies: Path) -> None:
    answer = server.infer("age", "sub-9002/func/sub-9002_task-rest_bold")
    assert answer.status_code == 422
    assert "sub-9002" in answer.json()["detail"]
    assert str(studies.parent) not in answer.text


def test_an_uploaded_scan_of_another_repetition_time(server: Any, images: list[str], studies: Path) -> None:
    image = nib.load(studies / f"{images[0]}.nii.gz")
    image.header.set_zooms((*image.header.get_zooms()[:3], 0.72))
    answer = server.ask("POST", "/infer/sex", files={"file": image.to_bytes()})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("upload: the repetition time is 0.72 s, expected 2 s")


def test_an_upload_that_claims_to_be_huge(server: Any) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape((1000, 1000, 1000, 1000))
    header["vox_offset"] = 352
    content = header.binaryblock + bytes(4) + bytes(1000)
    answer = server.ask("POST", "/infer/sex", files={"file": content})
    assert answer.status_code == 413, answer.text


def test_concurrent_requests(server: Any, images: list[str]) -> None:
    expected = {image: server.infer("age", image).json() for image in images}
    found: list[tuple[str, Any, Any]] = []

    def ask(image: str) -> None:
        answer = server.infer("age", image)
        found.append((image, answer.status_code, answer.json()))

    threads = [threading.Thread(target=ask, args=(images[number % 4],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(status == 200 and answer == expected[image] for image, status, answer in found)


def test_a_batch_that_is_waited_for(server: Any, images: list[str], studies: Path) -> None:
    values = {"label_tag": "waited", "device": "cuda", "multi_gpu": True}  # as MONAI Label's client sends them
    answer = server.ask("POST", "/batch/infer/age", params={"run_sync": "true"}, json=values)
    assert answer.status_code == 200
    results = answer.json()
    assert len(results) == 7
    assert results["sub-9001/func/sub-9001_task-rest_bold"]["status"] == 422
    for image in images:
        single = server.infer("age", image).json()
        assert results[image] == {"params": single, "label": image, "tag": "waited"}
        assert json.loads((studies / "labels" / "waited" / f"{image}.json").read_text()) == single
        label = {"label": image, "tag": "waited"}
        assert server.ask("GET", "/datastore/label", params=label).json() == single
        assert server.ask("GET", "/datastore/label/info", params=label).json() == {"params": single}
    objects = server.ask("GET", "/datastore", params={"output": "all"}).json()["objects"]
    assert objects[images[0]]["labels"]["waited"] == {"ext": ".json", "info": {}}


def test_a_batch_in_the_background(server: Any, images: list[str], studies: Path) -> None:
    begun = server.ask("POST", "/batch/infer/reconstruction", json={"max_batch_size": 4}).json()
    state: dict[str, Any] = {"status": "RUNNING"}
    while state["status"] == "RUNNING":
        time.sleep(0.05)
        state = server.ask("GET", "/batch/infer").json()
    assert [state["id"], state["status"], set(state["result"])] == [begun["id"], "DONE", set(images)]
    saved = studies / "labels" / "reconstruction" / f"{images[0]}.nii.gz"
    image = server.ask("POST", "/infer/reconstruction", params={"image": images[0], "output": "image"})
    assert saved.read_bytes() == image.content
    assert server.ask("GET", "/batch/infer", params={"all": "true"}).json()[-1]["id"] == begun["id"]
    assert server.ask("DELETE", "/batch/infer").status_code == 404
    assert len(server.ask("GET", "/datastore").json()["images"]) == 7  # labels are no scans


def test_one_answer_is_saved_when_asked(server: Any, images: list[str], studies: Path) -> None:
    values = json.dumps({"save_label": True, "label_tag": "one"})
    answer = server.infer("site", images[3], data={"params": values}).json()
    assert answer.pop("tag") == "one"
    assert json.loads((studies / "labels" / "one" / f"{images[3]}.json").read_text()) == answer


def test_a_caller_who_leaves_does_no_harm(server: Any, images: list[str], studies: Path) -> None:
    scan = (studies / f"{images[0]}.nii.gz").read_bytes()
    for _ in range(3):
        with pytest.raises(requests.exceptions.RequestException):
            requests.post(server.url + "/infer/sex", files={"file": io.BytesIO(scan)}, timeout=0.002)
    assert server.infer("sex", images[0]).status_code == 200
    time.sleep(0.5)
    assert list(server.temporary.glob("monai_tff_*")) == []
