"""The hub's data sets and bases through a server on loopback that speaks its API, and through none at all."""

import pytest

import tiny
from loopback_hub import LoopbackHub, environment

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    tiny.build_base(folder / "bert")
    tiny.build_dataset(folder / "reviews")
    models, data = {"tiny/bert": folder / "bert"}, {"tiny/reviews": folder / "reviews"}
    with LoopbackHub(models, datasets=data, aliases={"reviews": "tiny/reviews"}) as server:
        yield server


@pytest.fixture
def user(shell, hub, tmp_path):
    return type(shell)(tmp_path, environment(hub, tmp_path / "home") | {"OMP_NUM_THREADS": "1"})


def train(user, *options):
    quick = [
        "--model.name",
        "tiny/bert",
        "--model.max_length",
        "64",
        "--train.num_train_epochs",
        "1",
        "--train.baselines",
        "false",
    ]
    return user("train", *quick, *options, "--json")


def test_a_subset_of_a_data_set_known_by_a_bare_name(user, hub):
    done = train(user, "--data.name", "reviews", "--data.subset", "topics")
    assert done.code == 0, done.err
    assert len(done.json["data"]["labels"]) == 4
    assert done.json["base"]["revision"] == hub.commit("tiny/bert")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data.name", "tiny/nothing"], "'tiny/nothing' is not on"),
        pytest.param(["--data.name", "tiny/reviews", "--data.subset", "moods"], "--data.subset", marks=pytest.mark.slow),
        (["--data.name", "tiny/reviews", "--model.name", "tiny/nothing"], "'tiny/nothing' is not on"),
        pytest.param(["--data.name", "tiny/reviews", "--model.revision", "nowhere"], "no such revision", marks=pytest.mark.slow),
    ],
)
def test_what_the_hub_lacks_is_refused_in_words(user, options, said):
    done = train(user, *options)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_hub_that_does_not_answer_costs_seconds_and_says_how_to_go_on(shell, tmp_path):
    nobody = type(shell)(tmp_path, environment(None, tmp_path / "home"))
    done = train(nobody, "--data.name", "tiny/reviews")
    assert done.code == 2
    for words in ("does not answer", "HF_ENDPOINT", "HF_HUB_OFFLINE=1", "lorabert data list"):
        assert words in done.err
    assert not (tmp_path / "runs").exists()
