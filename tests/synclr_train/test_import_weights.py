"""Published checkpoints are read by their names, whatever wraps them, and never executed."""

import json
import pickle

import pytest
import torch

from synclr_train import import_weights
from synclr_train.backbone import build_vit, load_encoder
from synclr_train.import_weights import import_checkpoint
from synclr_train.recipes import get_recipe


@pytest.fixture
def small_b16(monkeypatch, whole_recipe):
    """`vit_b16` in miniature, so that the checkpoints of these tests are small."""

    def find(name):
        recipe = get_recipe(name)
        return recipe.varied(backbone=whole_recipe().backbone) if name == "vit_b16" else recipe

    monkeypatch.setattr(import_weights, "get_recipe", find)
    torch.manual_seed(5)
    return build_vit(whole_recipe().backbone)


@pytest.mark.parametrize(
    ("wrapper", "prefix"),
    [
        (None, ""),
        ("model", ""),
        ("state_dict", "module.visual."),
        ("model", "teacher.backbone."),
        ("model", "module.student.backbone."),
    ],
)
def test_features_are_those_of_the_file(tmp_path, small_b16, wrapper, prefix):
    state = {prefix + name: value for name, value in small_b16.state_dict().items()}
    state |= {prefix + "head.weight": torch.zeros(10, 16), prefix + "head.bias": torch.zeros(10)}
    content = state if wrapper is None else {wrapper: state, "epoch": 3}
    torch.save(content, tmp_path / "synclr.pth")
    import_checkpoint(tmp_path / "synclr.pth", "vit_b16", tmp_path / "out")
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = small_b16.eval()(images)
    assert torch.equal(load_encoder(tmp_path / "out").represent(images), expected)
    about = json.loads((tmp_path / "out" / "config.json").read_text())["synclr"]
    assert about["imported_from"] == "synclr.pth"


def test_the_teacher_is_taken_where_both_are_there(tmp_path, small_b16):
    teacher = small_b16.state_dict()
    state = {f"student.backbone.{name}": torch.zeros_like(value) for name, value in teacher.items()}
    state |= {f"teacher.backbone.{name}": value for name, value in teacher.items()}
    torch.save({"model": state}, tmp_path / "both.pth")
    import_checkpoint(tmp_path / "both.pth", "vit_b16", tmp_path / "out")
    found = load_encoder(tmp_path / "out").vit.state_dict()
    assert torch.equal(found["cls_token"], teacher["cls_token"])


class Malicious:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, small_b16, save):
    evil, file = tmp_path / "executed", tmp_path / "evil.pth"
    save({"model": small_b16.state_dict(), "extra": Malicious(str(evil))}, file)
    with pytest.raises(ValueError, match=r"evil.pth asks to run code .* was not opened"):
        import_checkpoint(file, "vit_b16", tmp_path / "out")
    assert not evil.exists()
    assert not (tmp_path / "out").exists()


def changed(state, **changes):
    return {name: value for name, value in (state | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cls_token": None, "norm.bias": None}, "lacks cls_token, norm.bias of vit_b16"),
        ({"blocks.7.norm1.bias": torch.zeros(16)}, r"holds blocks.7.norm1.bias, unknown to vit_b16"),
        (
            {"cls_token": torch.zeros(1, 1, 8)},
            r"cls_token of shape \(1, 1, 8\), but vit_b16 has \(1, 1, 16\)",
        ),
        ({"cls_token": torch.full((1, 1, 16), torch.nan)}, "NaN or infinite numbers in cls_token"),
    ],
)
def test_wrong_contents_are_named_in_one_sentence(tmp_path, small_b16, changes, said):
    torch.save(changed(small_b16.state_dict(), **changes), tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=said) as raised:
        import_checkpoint(tmp_path / "odd.pth", "vit_b16", tmp_path / "out")
    assert "\n" not in str(raised.value)


def test_files_that_are_no_checkpoint_are_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        import_checkpoint(tmp_path / "none.pth", "vit_b16", tmp_path / "out")
    (tmp_path / "text.pth").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"text.pth is no PyTorch checkpoint"):
        import_checkpoint(tmp_path / "text.pth", "vit_b16", tmp_path / "out")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(ValueError, match="holds no weights by name"):
        import_checkpoint(tmp_path / "empty.pth", "vit_b16", tmp_path / "out")
    with pytest.raises(ValueError, match="architecture 'resnet50' is unknown: choose among"):
        import_checkpoint(tmp_path / "empty.pth", "resnet50", tmp_path / "out")
