"""Which of a case's files are told to the user."""

from framework.pipeline.case import CaseRecord, StageRecord
from framework.tasks import predict_report


def told(*writes: str, files: tuple[str, ...] = ()) -> list[str]:
    stages = [
        StageRecord(name=f"s{i}", status="finished", seconds=0.0, writes={"x": name}) for i, name in enumerate(writes)
    ]
    return list(predict_report._files(CaseRecord(case="a", stages=stages, files=list(files))))


def test_meshes_and_films_of_all_stages() -> None:
    given = ("latents.safetensors", "image.png", "mesh.glb", "views", "video.mp4", "turn.gif")
    assert told(*given, files=("preview.png",)) == ["mesh.glb", "video.mp4", "turn.gif", "preview.png"]


def test_pictures_where_there_is_nothing_else() -> None:
    assert told("latents.safetensors", "image.png", "views") == ["image.png"]
