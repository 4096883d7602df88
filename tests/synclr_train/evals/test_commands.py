"""`probe` prints every subject side by side; a user's mistake ends in one sentence and writes nothing."""

from click.testing import CliRunner
from rich.console import Console

from synclr_train.evals.commands import probe, score_table, segment
from synclr_train.evals.scores import Score


def test_probe_prints_subjects_side_by_side(encoder_dir, image_folder, tmp_path):
    out_dir = tmp_path / "out"
    arguments = ["--weights", str(encoder_dir), "--dataset", f"folder:{image_folder}", "--out", str(out_dir)]
    result = CliRunner().invoke(probe, arguments, terminal_width=120)
    assert result.exit_code == 0, result.output
    for word in ("model", "random weights", "raw pixels", "linear probe accuracy", "few shot 5 accuracy"):
        assert word in result.stdout
    assert (out_dir / "scores.json").is_file()


def test_mistakes_end_in_one_sentence(encoder_dir, tmp_path):
    cases = [
        (
            probe,
            ["--weights", str(encoder_dir), "--dataset", "folder:/nowhere"],
            "/nowhere does not exist",
        ),
        (probe, ["--weights", str(tmp_path / "none")], "holds no exported encoder"),
        (segment, ["--weights", str(encoder_dir), "--dataset", "ade20k"], "has no masks"),
    ]
    for command, arguments, expected in cases:
        result = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "out")])
        assert result.exit_code == 1
        assert expected in result.output
        assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_table_shows_percent_with_intervals():
    score = Score(
        "model", "d", "knn_accuracy", 0.5, 0.4, 0.6, 10, "test", "linear_probe", "0" * 16, {"a": 0.5}
    )
    console = Console(width=80)
    with console.capture() as printed:
        console.print(score_table([score]))
    assert "50.0 " in printed.get()
    assert "40.0-60.0" in printed.get()
