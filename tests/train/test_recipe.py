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
    ("name", "epoch_steps"),
    [("rain200h", 900), ("rain200l", 900), ("rain1200", 6000), ("rain1400", 6300)],
)
def test_recipes_of_the_paper_have_what_it_prints(name, epoch_steps):
    """Section 4.1, and the weights under equations (9) to (12)."""
    recipe = read_recipe(RECIPES[0].parent / f"{name}.toml")
    assert recipe.optimiser == Optimiser(
        name="adam", learning_rate=1e-4, betas=(0.9, 0.999), batch=2
    )
    assert (recipe.data.crop_px, recipe.machine.precision) == (112, "32-true")
    assert recipe.schedule == Schedule(
        kind="steps", milestones=(300 * epoch_steps, 400 * epoch_steps), factor=0.1
    )
    assert recipe.length.steps == 500 * epoch_steps
    levels, layers = (0.1, 0.05, 0.02, 0.01), (0.0005, 0.001, 0.0025, 0.005)
    assert recipe.loss == Loss(
        pixel=1, absolute=0, psnr=0, alpha=1, levels=levels, beta=1, layers=layers
    )
    assert recipe.adversarial == Adversarial(generator_every=1, discriminator_every=5)
    assert (recipe.network.channels, recipe.network.stages, recipe.network.head_stages) == (
        (32,) * 4,
        (8, 4, 2, 2),
        2,
    )
    assert recipe.data.mix == CropMix(flip=False)


def test_override_replaces_a_value(project):
    assert (
        read_recipe(
            project / "recipe.toml", ["optimiser.learning_rate=5e-4"]
        ).optimiser.learning_rate
        == 5e-4
    )


def test_override_may_be_a_bare_word(project):
    assert read_recipe(project / "recipe.toml", ["optimiser.name=adam"]).optimiser.name == "adam"


def test_folders_are_relative_to_the_recipe(project):
    assert read_recipe(project / "recipe.toml").data.pairs[0].folder == str(project / "pairs")


@pytest.mark.parametrize(
    ("override", "fact"),
    [
        ("optimiser.learning_rat=1", "did you mean 'learning_rate'"),
        ("optimizer.batch=1", "did you mean 'optimiser'"),
        ("optimiser.batch=x", "is no int"),
        ("optimiser.batch=true", "is no int"),
        ("optimiser.name=sgd", "choose one of adam, adamw, muon"),
        ("length.steps=0", "neither steps nor hours"),
        ("schedule.by=hours", "needs length.hours"),
        ("data.crop_px=100", "no multiple of 56"),
        ("machine.processes=3", "does not divide"),
        ("network.channels=[4, 4]", "4 positive whole numbers"),
        ("data.mix.jpeg=2", "out of range"),
        ("machine.threads=10000000000", "out of range"),
        ("network={preset='small', window_px=1, shift_px=0}", "nothing at the fourth scale"),
        ("record.folder=", "named by an empty text"),
        ('data.backgrounds=[""]', "named by an empty text"),
        ('data.backgrounds=["a\\u0000b"]', "holds a zero byte"),
        ("data.mix.pair=inf", "out of range"),
        ("data.mix.pair=1e308", "out of range"),
        ("schedule.milestones=[-5]", "choose 0 or more"),
        ("loss={pixel=0, alpha=0, beta=0}", "nothing would be learnt"),
        ("loss={pixel=0, beta=0, levels=[0, 0, 0, 0]}", "nothing would be learnt"),
        ("data.mix.pairs=1", "did you mean 'pair'"),
        ("data.pairs=[{folder='a', wieght=2}]", "did you mean 'weight'"),
        ("data.pairs=[{weight=2}]", "data.pairs[0]: has no folder"),
        ("data.pairs=[{folder='a', weight=0}]", "choose one above 0"),
        ("data.crop_px=0", "no multiple of 56"),
        ("network=3", "no table"),
        ("network.preset=[1]", "is no str"),
        ("network.preset.x=1", "is no section"),
        ("network.attention_heads=0", "choose 1 or more"),
        ("network.unit=foo", "there are plnlim"),
        ("network.discriminator_unit=foo", "there are plnlim"),
        ("adversarial.manner=rude", "choose one of mcddl"),
        ("machine.processes=0", "choose 1 or more"),
        ("optimiser.batch=0", "choose 1 or more"),
        ("optimiser.betas=[0.9]", "give two numbers"),
        ("optimiser.ema=1.0", "to below 1"),
        ("optimiser.learning_rate=nan", "choose 0 or more"),
        ("record.log_every_steps=0", "choose 1 or more"),
        ("seed=-1", "choose 0 or more"),
        ("schedule.fall=0", "choose one above 0"),
        ("schedule.factor=nan", "choose one from 0 to 1"),
        ("schedule.last=-1", "choose one from 0 to 1"),
        ("loss.alpha=nan", "choose 0 or more"),
        ("loss.levels=[-1, 0, 0, 0]", "choose 0 or more"),
        ("loss.layers=[0, 0, 0, inf]", "choose 0 or more"),
    ],
)
def test_wrong_value_is_refused_with_the_remedy(project, override, fact):
    with pytest.raises(RecipeError, match=r"recipe\.toml|no section") as caught:
        read_recipe(project / "recipe.toml", [override])
    assert fact in str(caught.value)


def test_override_without_equals_is_refused(project):
    with pytest.raises(RecipeError, match=r"section\.key=value"):
        read_recipe(project / "recipe.toml", ["resume"])


def test_layout_may_be_named(project):
    recipe = read_recipe(
        project / "recipe.toml", ['validation.pairs=[{folder="pairs", layout="clean-left"}]']
    )
    pairs, _ = validation_pairs(recipe.validation)
    assert {pair.clean_side for _, pair in pairs} == {"left"}
    with pytest.raises(DataError, match="left-clean: no such layout"):
        validation_pairs(
            read_recipe(
                project / "recipe.toml",
                ['validation.pairs=[{folder="pairs", layout="left-clean"}]'],
            ).validation
        )


def test_missing_recipe_is_named():
    with pytest.raises(RecipeError, match=r"nowhere\.toml: no such recipe"):
        read_recipe("nowhere.toml")


def factor(recipe, **at):
    return rate_factor(recipe.schedule, recipe.length, **{"hours": 0.0} | at)


def test_cosine_falls_from_one_to_last(project):
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


def test_trapezoid_stays_and_falls_at_the_end(project):
    wishes = [
        "schedule.kind=trapezoid",
        "schedule.fall=0.25",
        "schedule.last=0.1",
        "length.hours=2",
        "schedule.by=hours",
    ]
    recipe = read_recipe(project / "recipe.toml", wishes)
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


def test_the_rate_warms_up(project):
    recipe = read_recipe(
        project / "recipe.toml", ["schedule.warmup_steps=10", "length.steps=1000000"]
    )
    assert factor(recipe, step=4) == pytest.approx(0.5, rel=1e-3)
