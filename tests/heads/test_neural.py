import pytest
import torch

from archenc.errors import InvalidParameter, NotFitted
from archenc.heads.neural import AnytimeHead, ComparatorHead, MLPHead
from archenc.losses import BCELoss, ComparatorLoss, HingeLoss, ListMLELoss, MSELoss
from tests.bad_input import assert_one_sentence

SCORE_LOSSES = [MSELoss(), HingeLoss(), BCELoss(), ListMLELoss()]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def comparator(pairing, **parameters):
    return ComparatorHead(6, pairing=pairing, **parameters).eval()


# -- multi-layer perceptron ----------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
def test_mlp_is_linear_relu_for_each_size_then_linear(hidden):
    head, z = MLPHead(6, hidden=hidden).eval(), torch.randn(3, 6)
    layers = [module for module in head.modules() if isinstance(module, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == [*hidden, 1]
    x = z
    for layer in layers[:-1]:
        x = (x @ layer.weight.T + layer.bias).clamp(min=0)
    assert torch.allclose(head(z), (x @ layers[-1].weight.T + layers[-1].bias)[:, 0], atol=1e-6)


def test_mlp_drops_units_in_training_only():
    head, z = MLPHead(6, dropout=0.5), torch.randn(3, 6)
    assert not torch.equal(head(z), head(z))
    head.eval()
    assert torch.equal(head(z), head(z))


# -- anytime -------------------------------------------------------------------------------------------------


def test_each_output_reads_its_own_part_of_the_encoding():
    head, z = AnytimeHead(12, outputs=3).eval(), torch.randn(5, 12, requires_grad=True)
    scores = head(z)
    assert scores.shape == (5, 3)
    for t, column in enumerate(scores.unbind(1)):
        (gradient,) = torch.autograd.grad(column.sum(), z, retain_graph=True)
        own = slice(4 * t, 4 * t + 4)
        assert gradient[:, own].any()
        gradient[:, own] = 0
        assert not gradient.any()
        assert torch.equal(column, head.heads[t](z[:, own]))


@pytest.mark.parametrize(("dim", "outputs"), [(12, 1), (12, 5), (12, 0)])
def test_encodings_that_cannot_be_cut_are_refused(dim, outputs):
    with pytest.raises(InvalidParameter, match="as many parts") as caught:
        AnytimeHead(dim, outputs=outputs)
    assert_one_sentence(caught.value)


# -- comparator ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairing", ["concat", "difference"])
def test_comparison_averages_the_probabilities_of_both_orders(pairing):
    head = comparator(pairing, hidden=(8, 4))
    a, b = torch.randn(2, 5, 6)

    def f(x, y):
        joined = torch.cat([x, y], 1) if pairing == "concat" else x - y
        return torch.sigmoid(head.rest(head.first(joined))[:, 0])

    assert torch.allclose(torch.sigmoid(head.compare(a, b)), (f(a, b) + 1 - f(b, a)) / 2, atol=1e-6)


@pytest.mark.parametrize("pairing", ["concat", "difference"])
def test_comparison_is_antisymmetric_and_finite(pairing):
    head = comparator(pairing)
    a, b = torch.randn(2, 50, 6) * torch.logspace(-2, 5, 50)[:, None]
    logits = head.compare(a, b)
    assert torch.isfinite(logits).all()
    assert torch.allclose(logits, -head.compare(b, a), rtol=1e-4, atol=1e-5)
    assert torch.allclose(head.compare(a, a), torch.zeros(50), atol=1e-5)


def test_score_is_the_mean_probability_of_beating_the_reference(monkeypatch):
    head, z, reference = comparator("concat"), torch.randn(7, 6), torch.randn(4, 6)
    with pytest.raises(NotFitted, match="set_reference"):
        head(z)
    head.set_reference(reference)
    expected = torch.stack([torch.sigmoid(head.compare(one.expand(4, -1), reference)).mean() for one in z])
    assert torch.allclose(head(z), expected, atol=1e-6)
    monkeypatch.setattr("archenc.heads.neural.PAIRS_PER_BLOCK", 8)  # blocks of two
    assert torch.allclose(head(z), expected, atol=1e-6)


def test_reference_is_part_of_the_state():
    head, z = comparator("concat"), torch.randn(7, 6)
    head.set_reference(torch.randn(4, 6))
    other = torch.nn.Sequential(comparator("concat"))
    other.load_state_dict(torch.nn.Sequential(head).state_dict())
    assert torch.equal(other(z), head(z))


def test_comparator_learns_to_rank():
    z = torch.randn(64, 6)
    y = z[:, 0] + z[:, 1]
    head, loss = ComparatorHead(6), ComparatorLoss()
    optimiser, generator = torch.optim.Adam(head.parameters(), 1e-2), torch.Generator().manual_seed(0)
    for _ in range(60):
        worse, better = loss.pairs(y, generator)
        optimiser.zero_grad()
        loss.from_logits(head.compare(z[better], z[worse])).backward()
        optimiser.step()
    head.eval().set_reference(z)
    assert torch.corrcoef(torch.stack([head(z).argsort().argsort(), y.argsort().argsort()]))[0, 1] > 0.95


def test_unknown_pairing_is_refused():
    with pytest.raises(InvalidParameter, match="choose 'concat' or 'difference'"):
        ComparatorHead(6, pairing="diff")


# -- losses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", SCORE_LOSSES, ids=lambda loss: loss.name)
def test_mlp_takes_losses_on_scores_and_comparator_refuses_them(loss):
    assert MLPHead.rejects(loss) is None
    assert AnytimeHead.rejects(loss) is None
    assert "the head 'mlp'" in ComparatorHead.rejects(loss)


def test_comparator_loss_needs_the_comparator_head():
    assert ComparatorHead.rejects(ComparatorLoss()) is None
    assert "the head 'comparator'" in MLPHead.rejects(ComparatorLoss())
    assert "the head 'comparator'" in AnytimeHead.rejects(ComparatorLoss())


HEADS = {
    "mlp": MLPHead(6),
    "anytime": AnytimeHead(6),
    "concat": comparator("concat"),
    "difference": comparator("difference"),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_several_heads_run_as_one_program(head):
    others = [
        type(head)(6, **({"pairing": head.pairing} if isinstance(head, ComparatorHead) else {})).eval()
        for _ in range(3)
    ]
    z = torch.randn(3, 10, 6)
    for other in others:
        if isinstance(other, ComparatorHead):
            other.set_reference(z[0])
    parameters, buffers = torch.func.stack_module_state(others)
    together = torch.func.vmap(lambda p, b, x: torch.func.functional_call(others[0], (p, b), (x,)))(
        parameters, buffers, z
    )
    assert torch.allclose(
        together, torch.stack([other(x) for other, x in zip(others, z, strict=True)]), atol=1e-6
    )
