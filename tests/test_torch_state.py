"""Nothing that torch keeps for the process or the thread changes a result, and no result costs the process
its state.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
from joblib import parallel_backend
from sklearn.model_selection import GridSearchCV
from torch import nn

import archenc
from archenc.predictor import Predictor
from archenc.pretraining import PretrainableEncoder, pretrainable_encoders
from archenc.registry import ENCODERS, HEADS, LOSSES
from archenc.torch_state import Dropout, building, own_dropout, own_generator, own_state

SMALL = {
    "arch2vec": {"hidden_dim": 8, "layers": 2, "dropout": 0.1},
    "brp-nas": {"hidden": (8, 8)},
    "cate": {"dim": 8, "layers": 1, "heads": 2, "hidden_dim": 8, "cross_layers": 1, "cross_hidden_dim": 8},
    "dvae": {"hidden_dim": 8, "latent_dim": 4},
    "flowerformer": {"dim": 6, "layers": 1, "heads": 2},
    "gae": {"hidden_dim": 8, "layers": 2, "dropout": 0.1},
    "gates": {"layers": (8, 8)},
    "nn-former": {"dim": 8, "layers": 2, "hidden_dim": 8},
    "seminas": {"hidden": 8, "unlabelled": 20},
    "ta-gates": {"layers": (8,), "symmetry_breaking": "random"},
    "vgae": {"hidden_dim": 8, "layers": 2, "dropout": 0.1},
}
SMALL_HEADS = {
    "dngo": {"epochs": 5},
    "lightgbm": {"n_estimators": 5},
    "mlp-ensemble": {"epochs": 5},
    "random-forest": {"n_estimators": 5},
    "xgboost": {"n_estimators": 5},
}
ANYTIME = {"layers": (8,), "anytime": True, "steps": 2}
Y = np.random.default_rng(0).normal(size=12)


def architectures(count=12, seed=0):
    return archenc.create_space("nasbench201").sample(count, seed=seed)


def parts():
    """Every encoder, head and loss, with small sizes and something that it goes with."""
    space = archenc.create_space("nasbench201")
    for encoder in ENCODERS.names():
        if ENCODERS.get(encoder).unsupported(space) is None:
            yield encoder, "mlp", "hinge"
    for head in HEADS.names():
        accepted = [loss for loss in LOSSES.names() if HEADS.get(head).rejects(LOSSES.get(loss)()) is None]
        yield ("ta-gates" if head == "anytime" else "gates"), head, accepted[0]
        if head == "mlp":
            yield from (("op-count", head, loss) for loss in accepted)


PARTS = list(parts())


def predictor(encoder, head, loss):
    sizes = ANYTIME if head == "anytime" else SMALL.get(encoder, {})
    more = {"encoder_params": sizes, "head_params": SMALL_HEADS.get(head, {})}
    return Predictor(encoder, head, loss, **more, epochs=2, batch_size=8, random_state=3)


def results(part, graphs, folder=None):
    """Predictions and embeddings of a new fit, saved and loaded where there is a folder."""
    labels = np.stack([Y, -Y], axis=1) if part[1] == "anytime" else Y
    fitted = predictor(*part).fit(graphs, labels)
    if folder is not None:
        fitted = Predictor.load(fitted.save(folder))
    return np.column_stack([fitted.predict(graphs), fitted.embed(graphs)])


@cache
def undisturbed(part):
    return results(part, architectures())


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def everything():
    with (
        torch.device("meta"),
        default_dtype(),
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.inference_mode(),
    ):
        yield


STATES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default dtype": default_dtype,
    "default device": lambda: torch.device("meta"),
    "everything": everything,
}
names = "-".join


def architectures_inside(state, count=12):
    """Made inside, as a caller's are; on torch's default device no space can draw any."""
    if state in ("default device", "everything"):
        with torch.device("cpu"):
            return architectures(count)
    return architectures(count)


@pytest.mark.parametrize(
    ("part", "state"),
    [
        *((part, "everything") for part in PARTS),
        *((("gates", "mlp", "hinge"), state) for state in STATES if state != "everything"),
    ],
    ids=lambda value: value if isinstance(value, str) else names(value),
)
def test_what_the_caller_has_set_changes_no_result(part, state, tmp_path):
    expected = undisturbed(part)
    torch.manual_seed(77)
    before = torch.get_rng_state()
    with STATES[state]():
        found = results(part, architectures_inside(state), tmp_path / "saved")
    np.testing.assert_array_equal(found, expected)
    assert torch.equal(torch.get_rng_state(), before)


def in_threads(task, count=4):
    """What ``count`` calls at once give, while another thread draws from the generator of the process."""
    start, finished = threading.Barrier(count), threading.Event()

    def draw():
        while not finished.wait(1e-3):
            torch.rand(100)

    def run(number):
        start.wait()
        return task(number)

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(run, range(count)))
    finally:
        finished.set()
        drawing.join()


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning"
)  # filters set in a thread are the process's
@pytest.mark.parametrize("part", PARTS, ids=names)
def test_fits_in_several_threads_give_what_each_gives_alone(part):
    expected, graphs = undisturbed(part), architectures()
    for found in in_threads(lambda number: results(part, graphs)):
        np.testing.assert_array_equal(found, expected)


def test_a_grid_search_in_threads_gives_what_it_gives_alone():
    def search():
        grid = {"lr": [1e-3, 1e-2], "encoder": ["gates", "gcn"]}
        scores = GridSearchCV(
            Predictor("gcn", "mlp", "mse", epochs=2, random_state=0), grid, cv=2, n_jobs=4
        ).fit(architectures(), Y)
        return scores.cv_results_["mean_test_score"]

    with parallel_backend("threading"):
        found = search()
    with parallel_backend("sequential"):
        np.testing.assert_array_equal(found, search())


# -- pretraining ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(PretrainableEncoder, "draws", 20)


def pretrained(encoder, graphs, folder):
    """The card without what is measured by the clock, and what the loaded encoder gives."""
    card = archenc.pretrain(
        encoder, graphs, folder, encoder_params=SMALL[encoder], epochs=2, batch_size=16, held_out=0.3, seed=1
    )
    losses = [[value for name, value in epoch.items() if name != "seconds"] for epoch in card["history"]]
    return losses, card["figures"], archenc.load_pretrained(folder).encode(graphs).tolist()


@pytest.fixture(scope="module")
def pretrained_undisturbed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainableEncoder, "draws", 20)
        return {
            name: pretrained(name, architectures(60), tmp_path_factory.mktemp("alone") / name)
            for name in pretrainable_encoders()
        }


@pytest.mark.parametrize("encoder", pretrainable_encoders())
def test_what_the_caller_has_set_changes_no_pretraining(encoder, pretrained_undisturbed, tmp_path):
    torch.manual_seed(77)
    before = torch.get_rng_state()
    with everything():
        found = pretrained(encoder, architectures_inside("everything", 60), tmp_path / "run")
    assert found == pretrained_undisturbed[encoder]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("encoder", pretrainable_encoders())
def test_pretrainings_in_several_threads_give_what_each_gives_alone(
    encoder, pretrained_undisturbed, tmp_path
):
    graphs = architectures(60)
    for found in in_threads(lambda number: pretrained(encoder, graphs, tmp_path / str(number)), count=2):
        assert found == pretrained_undisturbed[encoder]


# -- the means -----------------------------------------------------------------------------------------------


def modules():
    """One of each kind of initial weights that torch's modules have, and dropout behind them."""
    recurrent = nn.GRU(4, 4)
    transformer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    layers = [
        nn.Linear(4, 4),
        nn.LayerNorm(4),
        nn.Embedding(3, 4),
        nn.BatchNorm1d(4),
        nn.Bilinear(4, 4, 2),
        recurrent,
        transformer,
    ]
    weights = nn.Parameter(nn.init.trunc_normal_(torch.empty(40)))
    return nn.ModuleList(
        [*layers, nn.ParameterList([weights, torch.randn(3, 4), nn.init.orthogonal_(torch.zeros(4, 4))])]
    )


def test_own_generators_have_the_stream_of_torch():
    torch.manual_seed(5)
    expected = modules().state_dict()
    before = torch.get_rng_state()
    with default_dtype(), own_state(seed=5), building():
        found = modules().state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("shape", [(3,), (7, 5), (64, 33), (0, 4)])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_own_dropout_drops_what_torch_drops(shape, p):
    network = nn.Sequential(nn.Dropout(p), nn.Sequential(nn.Dropout(p)))
    x, swapped = torch.ones(shape), nn.Sequential(nn.Dropout(p), nn.Sequential(nn.Dropout(p)))
    own_dropout(swapped)
    assert isinstance(swapped[1][0], Dropout)
    torch.manual_seed(5)
    expected = [network(x) for _ in range(3)]
    with own_state(seed=5):
        found = [swapped(x) for _ in range(3)]
    torch.manual_seed(5)
    outside = [swapped(x) for _ in range(3)]
    assert all(
        torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(expected, found, outside, strict=True)
    )
    assert torch.equal(swapped.eval()(x), x)


def test_a_fit_within_a_fit_has_generators_of_its_own():
    assert own_generator() is None
    with own_state(seed=1):
        outer = own_generator()
        with own_state(seed=1):
            assert own_generator() is not outer
        assert own_generator() is outer
    assert own_generator() is None


def test_what_is_drawn_between_epochs_changes_nothing():
    expected = undisturbed(("gcn", "mlp", "hinge"))
    graphs = architectures()

    def draw(epoch, fitted):
        torch.rand(epoch)
        Predictor("gcn", epochs=1, random_state=epoch).fit(graphs, Y)

    fitted = predictor("gcn", "mlp", "hinge").fit(graphs, Y, on_epoch_end=draw)
    np.testing.assert_array_equal(np.column_stack([fitted.predict(graphs), fitted.embed(graphs)]), expected)
