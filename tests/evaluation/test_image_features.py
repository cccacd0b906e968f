"""The two feature networks: layout of the published one, files that are not it, a random one that stays the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from framework.evaluation import image_features
from framework.evaluation.image_features import FeatureNetwork, RandomConv, feature_network, features
from framework.nets.inception import BlockA, BlockE, InceptionV3
from framework.weights.folder import WeightsError


def pictures(count: int = 2, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Weights in the published layout."""
    torch.manual_seed(0)
    return InceptionV3().state_dict()


def test_the_published_network_has_its_known_size(state: dict[str, Tensor]) -> None:
    """23,834,568 parameters without the auxiliary head at 1,000 classes (Szegedy et al. 2016), 8 classes more here."""
    counted = {key: value for key, value in state.items() if "running" not in key and "num_batches" not in key}
    assert sum(value.numel() for value in counted.values()) == 23_834_568 + 8 * 2049
    assert sum(key.endswith(".conv.weight") for key in state) == 94
    assert not [key for key in state if key.endswith("conv.bias")]
    assert state["Mixed_6c.branch7x7dbl_2.conv.weight"].shape == (160, 160, 7, 1)
    assert state["Mixed_7c.branch3x3dbl_3a.conv.weight"].shape == (384, 384, 1, 3)
    assert state["fc.weight"].shape == (1008, 2048)


@torch.no_grad()
def test_pooling_is_that_of_the_first_graph() -> None:
    """Padding does not count in averages, and the last block takes maxima."""
    constant = torch.ones(1, 8, 5, 5)
    block = BlockA(8, pooled=4).eval()
    nn.init.ones_(block.branch_pool.conv.weight)
    torch.testing.assert_close(block(constant)[0, -4:], torch.full((4, 5, 5), 8 / 1.001**0.5))
    peak = torch.zeros(1, 8, 5, 5)
    peak[..., 2, 2] = 9.0
    for maximum, beside in ((False, 1.0), (True, 9.0)):
        last = BlockE(8, maximum=maximum).eval()
        nn.init.constant_(last.branch_pool.conv.weight, 1 / 8)
        torch.testing.assert_close(last(peak)[0, -1, 1, 1], torch.tensor(beside / 1.001**0.5))


@torch.no_grad()
def test_pictures_are_resampled_and_put_into_range() -> None:
    network, seen = InceptionV3().eval(), []
    network.Conv2d_1a_3x3.register_forward_hook(lambda module, inputs, outputs: seen.append(inputs[0]))
    given = pictures(1, side=9)
    network(given)
    torch.testing.assert_close(seen[0], 2 * F.interpolate(given, (299, 299), mode="bilinear") - 1)
    assert seen[0].min() >= -1 and seen[0].max() <= 1


def test_a_file_with_the_published_keys_is_read(tmp_path: Path, state: dict[str, Tensor]) -> None:
    """With and without batch norm's counters, which files of that age may lack."""
    torch.save(state, tmp_path / "new.pth")
    torch.save({key: value for key, value in state.items() if "num_batches" not in key}, tmp_path / "old.pth")
    network, older = feature_network(tmp_path / "new.pth"), feature_network(str(tmp_path / "old.pth"))
    found = features(pictures(), network)
    assert found.shape == (2, 2048) and found.dtype == torch.float32 and not found.requires_grad
    torch.testing.assert_close(features(pictures(), older), found, rtol=0, atol=0)
    assert not network.comparable and "not comparable" in network.label, "these are not the published numbers"
    assert not any(
        value.requires_grad or module.training for module in network.module.modules() for value in module.parameters()
    )


def test_the_published_file_is_known_by_its_digest(
    tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state, tmp_path / "some.pth")
    monkeypatch.setattr(image_features, "PUBLISHED_DIGEST", image_features.digest(tmp_path / "some.pth")[:8])
    network = feature_network(tmp_path / "some.pth")
    assert network.comparable and network.label == "inception-2015-12-05"


class Opener:
    """What a file must not be able to do."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("touched", "w")


DAMAGES: dict[str, tuple[Callable[[dict[str, Tensor], Path], object], str]] = {
    "missing": (lambda state, path: None, "there is no such file.*pytorch-fid/releases"),
    "page": (lambda state, path: path.write_bytes(b"<html>not found</html>"), "no PyTorch checkpoint.*pytorch-fid"),
    "cut": (
        lambda state, path: (torch.save(state, path), path.write_bytes(path.read_bytes()[:-5000])),
        "can't be read",
    ),
    "code": (lambda state, path: torch.save({**state, "x": Opener()}, path), "can run code.*pytorch-fid/releases"),
    "key": (lambda state, path: torch.save({k: v for k, v in state.items() if k != "fc.bias"}, path), "fc.bias"),
    "more": (lambda state, path: torch.save({**state, "AuxLogits.fc.bias": torch.ones(1)}, path), "AuxLogits.fc.bias"),
    "shape": (lambda state, path: torch.save({**state, "fc.bias": torch.ones(1000)}, path), r"fc.bias is \(1000,\)"),
    "nan": (lambda state, path: torch.save({**state, "fc.bias": torch.full((1008,), torch.nan)}, path), "not finite"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_something_else_is_refused(
    damage: str, tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write, expected = DAMAGES[damage]
    write(state, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=f"weights.pth.*{expected}"):
        feature_network(tmp_path / "weights.pth")
    assert not Path("touched").exists()


def test_a_program_of_torchscript_is_refused(tmp_path: Path) -> None:
    """The other published form of these weights is one; it would be run in order to be read."""
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "inception.pt"))
    with pytest.raises(WeightsError, match="inception.pt.*pytorch-fid/releases"):
        feature_network(tmp_path / "inception.pt")


def test_the_random_network_is_the_same_everywhere() -> None:
    """Its name stands for these numbers: other ones would make older reports wrong."""
    network = feature_network()
    assert network.label == "random-conv-v1 (not comparable with published numbers)" and not network.comparable
    ramp = torch.linspace(0, 1, 3 * 64 * 64).view(1, 3, 64, 64)
    found = features(ramp, network)[0]
    assert found.shape == (RandomConv.features,)
    torch.testing.assert_close(
        found[[226, 451, 696, 978]], torch.tensor([0.088266, 0.543869, 0.031518, 0.779829]), rtol=1e-4, atol=1e-5
    )
    assert len(network.module.state_dict()) == 4


def test_features_do_not_follow_from_the_batch_and_carry_no_gradient() -> None:
    network = feature_network()
    given = pictures(3, side=80).requires_grad_()
    found = features(given, network)
    assert not found.requires_grad
    torch.testing.assert_close(features(given[1:2], network)[0], found[1], rtol=1e-5, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(features(given, network), found, rtol=0, atol=0)
    torch.testing.assert_close(features(given * 3 - 1, network), features((given * 3 - 1).clamp(0, 1), network))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(3, 8, 8\)"):
        features(pictures()[0, :, :8, :8], feature_network())


def test_features_of_any_network() -> None:
    flat = FeatureNetwork("pixels", nn.Flatten(), comparable=False)
    assert features(pictures(), flat).shape == (2, 3 * 64 * 64)


def test_the_random_network_adds_no_parameters() -> None:
    """A system that holds it is as large as its weights say."""
    assert not list(feature_network().module.parameters())
