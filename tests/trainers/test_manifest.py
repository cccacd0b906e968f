"""What is written down about a run."""

import json
from pathlib import Path

from framework.trainers.manifest import describe_run, end_leg, read_manifest, update_manifest


def test_a_run_in_two_legs(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    update_manifest(path, **describe_run("r", "train", 4, "cpu"))
    assert read_manifest(path)["status"] == "running"
    end_leg(path, "interrupted", {"to_step": 3}, "time limit", step=3)
    update_manifest(path, **describe_run("r", "train", 4, "cpu"))
    end_leg(path, "finished", {"to_step": 9}, step=9, metrics={"val/iou": 0.5})
    manifest = json.loads(path.read_text())
    assert [leg["to_step"] for leg in manifest["legs"]] == [3, 9]
    assert (manifest["status"], manifest["reason"], manifest["seed"], manifest["step"]) == ("finished", None, 4, 9)
    assert {"python", "torch", "pytorch-lightning"} <= manifest["versions"].keys()
    assert manifest["started"] <= manifest["ended"]


def test_a_missing_manifest_is_empty(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "manifest.json") == {}
