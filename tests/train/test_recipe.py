"""Recipes: what is read from a TOML file, and what is rejected."""

import errno
from pathlib import Path

import pytest

from derain.data.crops import CropMix
from derain.errors import DataError, RecipeError
from derain.train.recipe import Adversarial, Loss, Optimiser, Schedule
from derain.train.recipe_file import read_recipe
from derain.train.schedule import rate_factor
from derain.train.validation import validation_pairs

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_shipped_recipe_is_valid(path):
    read_recipe(path)


@pytest.mark.parametrize(
    "path",
    [path for path in RECIPES if path.stem != "example"],  # uses the example pictures
    ids=lambda p: p.stem,
)
def test_shipped_recipe_names_only_data_below_its_root(path, tmp_path):
    recipe = read_recipe(path, [f"data.root={tmp_path}"])
    folders = [pairs.folder for pairs in (*recipe.data.pairs, *recipe.validation.pairs)]
    folders += [*recipe.data.backgrounds, *recipe.data.streaks]
    assert folders
    assert all(Path(folder).is_relative_to(tmp_path) for folder in folders)


@pytest.mark.parametrize(
    ("name", "epoch_steps"),
    [("rain200h", 900), ("rain200l", 900), ("rain1200", 6000), ("rain1400", 6300)],
)
def test_paper_recipes_have_the_printed_values(name, epoch_steps):
    """Section 4.1, and the weights under equations (9) to (12)."""
    recipe = read_recipe(RECIPES[0].parent / f"{name}.toml")
    assert recipe.optimiser == Optimiser(
        name="adam", learning_rate=1e-4, betas=(0.9, 0.999), batch=2
    )
    assert recipe.data.crop_px == 112
    assert recipe.machine.precision == "32-true"
    assert recipe.schedule == Schedule(
        kind="steps", milestones=(300 * epoch_steps, 400 * epoch_steps), factor=0.1
    )
    assert recipe.length.steps == 500 * epoch_steps
    assert recipe.loss == Loss(
        pixel=1,
        absolute=0,
        psnr=0,
        alpha=1,
        level_weights=(0.1, 0.05, 0.02, 0.01),
        beta=1,
        layer_weights=(0.0005, 0.001, 0.0025, 0.005),
    )
    assert recipe.adversarial == Adversarial(generator_every=1, discriminator_every=5)
    assert recipe.network.channels == (32, 32, 32, 32)
    assert recipe.network.stages == (8, 4, 2, 2)
    assert recipe.network.head_stages == 2
    assert recipe.data.mix == CropMix(flip=False)


def test_override_replaces_a_value(project):
    recipe = read_recipe(project / "recipe.toml", ["optimiser.learning_rate=5e-4"])
    assert recipe.optimiser.learning_rate == 5e-4


def test_override_may_be_a_bare_word(project):
    assert read_recipe(project / "recipe.toml", ["optimiser.name=adam"]).optimiser.name == "adam"


def test_whole_number_is_accepted_for_a_float(project):
    recipe = read_recipe(project / "recipe.toml", ["length.hours=2"])
    assert recipe.length.hours == 2.0


@pytest.fixture
def rootless(project):
    """A recipe without data.root."""
    path = project / "recipe.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("root = ")))
    return path


def test_folders_without_a_root_are_relative_to_the_recipe(rootless):
    assert read_recipe(rootless).data.pairs[0].folder == str(rootless.parent / "pairs")


def test_root_is_relative_to_the_current_folder(rootless, tmp_path, monkeypatch):
    current = tmp_path / "current"
    current.mkdir()
    monkeypatch.chdir(current)
    rootless.write_text(rootless.read_text().replace("[data]", '[data]\nroot = "sets"'))
    recipe = read_recipe(rootless)
    assert recipe.data.pairs[0].folder == str(current / "sets/pairs")
    assert recipe.data.backgrounds == (str(current / "sets/rain-free"),)
    assert recipe.validation.pairs[0].folder == str(current / "sets/pairs")


def test_root_may_be_overridden(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe(project / "recipe.toml", ["data.root=../elsewhere"])
    assert recipe.data.pairs[0].folder == str(tmp_path.parent / "elsewhere/pairs")


def test_absolute_folders_ignore_the_root(project):
    override = 'data.pairs=[{folder="/mnt/pairs"}]'
    recipe = read_recipe(project / "recipe.toml", ["data.root=elsewhere", override])
    assert recipe.data.pairs[0].folder == str(Path("/mnt/pairs").resolve())


@pytest.mark.parametrize(
    ("override", "fact"),
    [
        ("optimiser.learning_rat=1", "did you mean 'learning_rate'"),
        ("optimizer.batch=1", "did you mean 'optimiser'"),
        ("data.mix.pairs=1", "did you mean 'pair'"),
        ("data.pairs=[{folder='a', wieght=2}]", "did you mean 'weight'"),
        ("zzz=1", "known keys: network, data"),
        ("data.pairs=[{weight=2}]", "data.pairs[0]: the key 'folder' is missing"),
        ("optimiser.batch=x", "optimiser.batch = 'x' should be a valid integer"),
        ("optimiser.batch=true", "should be a valid integer"),
        ("optimiser.batch=2.0", "should be a valid integer"),
        ("data.mix.flip=1", "should be a valid boolean"),
        ("loss.pixel='1'", "should be a valid number"),
        ("notes=3", "should be a valid string"),
        ("network=3", "network = 3 should be a table"),
        ("data.pairs=3", "should be a valid array"),
        ("network.preset=[1]", "[1]"),
        ("network.preset.x=1", "preset is not a section"),
        ("optimiser.name=sgd", "should be 'adam', 'adamw' or 'muon'"),
        ("length.steps=0", "neither steps nor hours"),
        ("schedule.by=hours", "needs length.hours"),
        ("data.crop_px=100", "not a multiple of 56"),
        ("data.crop_px=0", "not a multiple of 56"),
        ("machine.processes=3", "cannot be divided among 3 processes"),
        ("machine.processes=0", "should be greater than 0"),
        ("machine.threads=10000000000", "should be less than or equal to 4096"),
        ("network.channels=[4, 4]", "4 positive integers"),
        ("network={preset='small', window_px=1, shift_px=0}", "too small for the fourth scale"),
        ("network.attention_heads=0", "choose 1 or more"),
        ("network.unit=foo", "plnlim"),
        ("network.discriminator_unit=foo", "plnlim"),
        ("adversarial.manner=rude", "choose one of mcddl"),
        ("record.folder=", "name of a folder is empty"),
        ("data.root=", "name of a folder is empty"),
        ('data.backgrounds=[""]', "name of a folder is empty"),
        ('data.backgrounds=["a\\u0000b"]', "contains a zero byte"),
        ("data.mix.jpeg=2", "out of range"),
        ("data.mix.pair=1e308", "out of range"),
        ("data.mix.pair=inf", "should be a finite number"),
        ("data.pairs=[{folder='a', weight=0}]", "choose one above 0"),
        ("schedule.milestones=[-5]", "schedule.milestones[0] = -5 should be greater than or equal"),
        ("schedule.fall=0", "should be greater than 0"),
        ("schedule.factor=nan", "should be a finite number"),
        ("schedule.last=-1", "should be greater than or equal to 0"),
        ("schedule.last=2", "should be less than or equal to 1"),
        ("optimiser.batch=0", "should be greater than 0"),
        ("optimiser.betas=[0.9]", "expected two numbers"),
        ("optimiser.betas=[0.9, 1.0]", "should be less than 1"),
        ("optimiser.ema=1.0", "should be less than 1"),
        ("optimiser.learning_rate=nan", "should be a finite number"),
        ("record.log_every_steps=0", "should be greater than 0"),
        ("seed=-1", "should be greater than or equal to 0"),
        ("seed=9223372036854775808", "should be less than 9223372036854775808"),
        ("loss.alpha=-1", "should be greater than or equal to 0"),
        ("loss.level_weights=[-1, 0, 0, 0]", "should be greater than or equal to 0"),
        ("loss.layer_weights=[0, 0, 0, inf]", "should be a finite number"),
        ("loss.level_weights=[1]", "need 4 numbers"),
        ("loss={pixel=0, alpha=0, beta=0}", "nothing would be learnt"),
        ("loss={pixel=0, beta=0, level_weights=[0, 0, 0, 0]}", "nothing would be learnt"),
    ],
)
def test_wrong_value_is_rejected_with_the_remedy(project, override, fact):
    with pytest.raises(RecipeError, match=r"recipe\.toml|not a section") as caught:
        read_recipe(project / "recipe.toml", [override])
    assert fact in str(caught.value)


def test_override_without_equals_is_rejected(project):
    with pytest.raises(RecipeError, match=r"section\.key=value"):
        read_recipe(project / "recipe.toml", ["resume"])


def test_layout_may_be_given(project):
    override = 'validation.pairs=[{folder="pairs", layout="clean-left"}]'
    pairs, _ = validation_pairs(read_recipe(project / "recipe.toml", [override]).validation)
    assert {pair.clean_side for _, pair in pairs} == {"left"}


def test_unknown_layout_is_rejected(project):
    override = 'validation.pairs=[{folder="pairs", layout="left-clean"}]'
    recipe = read_recipe(project / "recipe.toml", [override])
    with pytest.raises(DataError, match="left-clean"):
        validation_pairs(recipe.validation)


def test_missing_recipe_is_reported():
    with pytest.raises(RecipeError, match=r"nowhere\.toml: no such recipe"):
        read_recipe("nowhere.toml")


@pytest.mark.parametrize(
    "text",
    ["seed = ", "seed = " + "9" * 20_000, "seed = " + "[" * 20_000],
    ids=["no value", "long number", "deep nesting"],
)
def test_invalid_toml_is_reported(text, tmp_path):
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(RecipeError, match=r"recipe\.toml: cannot be read as TOML"):
        read_recipe(tmp_path / "recipe.toml")


def test_recipe_may_begin_with_the_mark_of_windows_editors(project):
    path = project / "recipe.toml"
    path.write_text("\ufeff" + path.read_text(encoding="utf-8"), encoding="utf-8")
    read_recipe(path)


@pytest.mark.parametrize("folder", [r"C:\data", r"C:\Users\Ada", r"\\server\data", r"C:\train"])
@pytest.mark.parametrize("is_override", [False, True])
def test_path_of_windows_in_double_quotes_has_its_own_remedy(folder, is_override, project):
    """TOML takes a backslash there for the start of another character, such as a tab."""
    path, override = project / "recipe.toml", f'data.pairs=[{{folder="{folder}"}}]'
    if not is_override:
        path.write_text(f'length.steps = 1\n[[data.pairs]]\nfolder = "{folder}"\n')
    with pytest.raises(RecipeError, match=r"; write paths of Windows with / or in single quotes$"):
        read_recipe(path, [override] if is_override else [])


def test_path_of_windows_in_single_quotes_keeps_its_backslashes(project):
    override = r"data.pairs=[{folder='C:\train'}]"
    folder = read_recipe(project / "recipe.toml", [override]).data.pairs[0].folder
    assert folder.endswith(r"C:\train")


def test_a_failing_disk_is_not_called_a_fault_of_the_recipe(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_text", fail)
    fact = r"recipe\.toml: cannot be read \(Input/output error\); check its disk"
    with pytest.raises(RecipeError, match=fact):
        read_recipe(tmp_path / "recipe.toml")


def factor(recipe, **at):
    return rate_factor(recipe.schedule, recipe.length, **{"hours": 0.0} | at)


def test_cosine_decays_from_one_to_last(project):
    recipe = read_recipe(
        project / "recipe.toml",
        ["length.steps=100", "schedule.last=0.01", "schedule.warmup_steps=0"],
    )
    assert factor(recipe, step=0) == pytest.approx(1)
    assert factor(recipe, step=50) == pytest.approx(0.505)
    assert factor(recipe, step=100) == pytest.approx(0.01)


def test_cosine_may_follow_the_hours(project):
    recipe = read_recipe(
        project / "recipe.toml", ["length.hours=2", "schedule.by=hours", "schedule.last=0"]
    )
    assert factor(recipe, step=10**6, hours=1) == pytest.approx(0.5)


def test_trapezoid_decays_at_the_end(project):
    settings = [
        "schedule.kind=trapezoid",
        "schedule.fall=0.25",
        "schedule.last=0.1",
        "length.hours=2",
        "schedule.by=hours",
    ]
    recipe = read_recipe(project / "recipe.toml", settings)
    assert [factor(recipe, step=9, hours=h) for h in (0, 1.5, 1.75, 2, 2.1)] == pytest.approx(
        [1, 1, 0.55, 0.1, 0.1]
    )


def test_trapezoid_may_follow_the_steps(project):
    recipe = read_recipe(
        project / "recipe.toml", ["schedule.kind=trapezoid", "length.steps=100", "schedule.last=0"]
    )
    assert [factor(recipe, step=s) for s in (80, 90)] == pytest.approx([1, 0.5])


def test_steps_multiply_at_each_milestone(project):
    recipe = read_recipe(
        project / "recipe.toml", ["schedule.kind=steps", "schedule.milestones=[300, 400]"]
    )
    assert [factor(recipe, step=s) for s in (299, 300, 400)] == pytest.approx([1, 0.1, 0.01])


def test_rate_warms_up(project):
    recipe = read_recipe(
        project / "recipe.toml", ["schedule.warmup_steps=10", "length.steps=1000000"]
    )
    assert factor(recipe, step=4) == pytest.approx(0.5, rel=1e-3)
