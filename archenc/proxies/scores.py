"""Zero-cost proxies: numbers that are computed from an untrained network and one small batch.

Each is a function of a :class:`Probe`, which runs the passes that the proxies asked for need, once each. High
means promising. What a network has none of (no gradient, no covariance) is NaN.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor, nn

from archenc.spaces.networks import Network

Score = Callable[["Probe"], float]
ZEN_STEP = 0.01
"""By which part of Gaussian noise Zen-NAS moves its images."""
TINY = 1e-12


def initialise(network: Network, seed: int) -> None:
    """Random weights that networks share: a weight depends on the seed, on its name and on its shape alone.

    Convolutions are normal with variance 2 / fan-in (He et al., ICCV 2015), the classifier with 1 / fan-in;
    normalisations scale by one and shift by nothing.
    """
    for name, weight in network.named_parameters():
        with torch.no_grad():
            if weight.dim() < 2:
                weight.fill_(1.0 if name.endswith("weight") else 0.0)
                continue
            text = f"{seed} {name} {tuple(weight.shape)}".encode()
            key = int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "big")
            gain = 2.0 if weight.dim() == 4 else 1.0
            weight.normal_(
                0.0, math.sqrt(gain / weight[0].numel()), generator=torch.Generator().manual_seed(key)
            )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()


class Probe:
    """One network with random weights and one batch, and what its passes give.

    Args:
        network: with weights; it is left in training mode, with gradients of none of the passes.
        images: (B, channels, side, side).
        classes: (B,) int64.
        seed: of the noise of Zen-NAS.
    """

    def __init__(self, network: Network, images: Tensor, classes: Tensor, seed: int) -> None:
        self.network, self.images, self.classes, self.seed = network.train(), images, classes, seed
        self.codes: list[Tensor] = []
        self.activations: dict[str, Tensor] = {}
        self.variances: list[Tensor] = []
        self.multiply_adds = 0
        self.weights = {name: weight for name, weight in self.network.named_parameters() if weight.dim() > 1}

    # -- passes ----------------------------------------------------------------------------------------------

    @cached_property
    def features(self) -> Tensor:
        """(B, width, side, side) before the mean over the pixels; fills what the hooks see."""
        self.inputs = self.images.clone().requires_grad_()
        hooks = list(self._hooks())
        try:
            return self.network.features(self.inputs)
        finally:
            for hook in hooks:
                hook.remove()

    def _hooks(self) -> Iterator[torch.utils.hooks.RemovableHandle]:
        def on_relu(module: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
            self.codes.append((output.detach() > 0).flatten(1))

        def on_norm(module: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
            x = given[0].detach()  # not by var, which takes ten times as long over these axes
            variance = x.square().mean((0, 2, 3)) - x.mean((0, 2, 3)).square()
            self.variances.append(variance.clamp(min=0).mean())

        def on_conv(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
            def hook(module: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
                self.activations[name] = output
                weight = module.get_parameter("weight")
                self.multiply_adds += weight.numel() * output.shape[2] * output.shape[3]

            return hook

        for name, module in self.network.named_modules():
            if isinstance(module, nn.ReLU | nn.ReLU6):
                yield module.register_forward_hook(on_relu)  # type: ignore[arg-type]
            elif isinstance(module, nn.BatchNorm2d):
                yield module.register_forward_hook(on_norm)  # type: ignore[arg-type]
            elif isinstance(module, nn.Conv2d):
                yield module.register_forward_hook(on_conv(name))  # type: ignore[arg-type]

    @cached_property
    def scores(self) -> Tensor:
        """(B, classes)."""
        scores: Tensor = self.network.classifier(self.features.mean((2, 3)))
        return scores

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """Of the cross-entropy to each weight that it reaches, to the images (``"images"``) and to what each
        convolution gives (``"conv:NAME"``).
        """
        loss = nn.functional.cross_entropy(self.scores, self.classes)
        wanted = {
            **self.weights,
            "images": self.inputs,
            **{f"conv:{name}": value for name, value in self.activations.items()},
        }
        found = torch.autograd.grad(loss, list(wanted.values()), retain_graph=True, allow_unused=True)
        return {name: gradient for name, gradient in zip(wanted, found, strict=True) if gradient is not None}

    @cached_property
    def weight_gradients(self) -> dict[str, Tensor]:
        """Those of the weights."""
        return {name: self.gradients[name] for name in self.weights if name in self.gradients}

    @cached_property
    def jacobian(self) -> Tensor:
        """(B, pixels): the gradient of each image's summed scores to the image."""
        (found,) = torch.autograd.grad(self.scores.sum(), [self.inputs], retain_graph=True)
        return found.flatten(1)

    @cached_property
    def flow(self) -> dict[str, Tensor]:
        """Weight times gradient of each weight, when all weights are positive, there is one image of ones and
        no normalisation: the synaptic flow.
        """
        state = {
            name: torch.full_like(value, float(name.endswith("var")), dtype=torch.float64)
            for name, value in self.network.named_buffers()
        }
        positive = {
            name: weight.detach().double().abs().requires_grad_(name in self.weights)
            if name in self.weights
            else weight.detach().double()
            for name, weight in self.network.named_parameters()
        }
        ones = torch.ones_like(self.images[:1], dtype=torch.float64)
        bounded = [module for module in self.network.modules() if isinstance(module, nn.ReLU6)]
        self.network.eval()  # with means of 0 and variances of 1, normalisation is the identity
        try:
            for module in bounded:
                module.max_val = math.inf
            total = torch.func.functional_call(self.network, (positive, state), (ones,)).sum()
        finally:
            self.network.train()
            for module in bounded:
                module.max_val = 6.0
        leaves = [positive[name] for name in self.weights]
        found = torch.autograd.grad(total, leaves, allow_unused=True)
        return {
            name: (weight * gradient).detach()
            for name, weight, gradient in zip(self.weights, leaves, found, strict=True)
            if gradient is not None
        }

    @cached_property
    def moved(self) -> Tensor:
        """The features of images that were moved a little."""
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(self.images.shape, generator=generator)
        with torch.no_grad():
            return self.network.features(self.images + ZEN_STEP * noise)


def score(probe: Probe, names: list[str]) -> dict[str, float]:
    """The proxies of these names; NaN where a network gives none."""
    found = {}
    for name in names:
        try:
            value = PROXIES[name](probe)
        except (RuntimeError, ValueError):  # of linear algebra without a solution, or of no graph to derive
            value = math.nan
        found[name] = value if math.isfinite(value) else math.nan
    return found


# -- published proxies ---------------------------------------------------------------------------------------


def grad_norm(probe: Probe) -> float:
    r""":math:`\log \lVert \partial L / \partial W \rVert_2` over all weights, L the cross-entropy of one
    batch.

    Abdelfattah, Mehrotra, Dudziak, Lane: Zero-Cost Proxies for Lightweight NAS, ICLR 2021, section 3.1
    (arXiv:2101.08134).
    """
    return _log(sum(float(gradient.square().sum()) for gradient in _some(probe.weight_gradients))) / 2


def snip(probe: Probe) -> float:
    r""":math:`\log \sum_w |w \, \partial L / \partial w|`.

    Lee, Ajanthan, Torr: SNIP, ICLR 2019 (arXiv:1810.02340), summed over the network as in Abdelfattah et al.,
    ICLR 2021.
    """
    _some(probe.weight_gradients)
    return _log(
        sum(
            float((probe.weights[name].detach() * g).abs().sum())
            for name, g in probe.weight_gradients.items()
        )
    )


def synflow(probe: Probe) -> float:
    r""":math:`\log \sum_w w \, \partial R / \partial w`, R the sum of the scores of an image of ones when all
    weights are replaced by their magnitudes and normalisations left out.

    Tanaka, Kunin, Yamins, Ganguli: Pruning neural networks without any data by iteratively conserving
    synaptic flow, NeurIPS 2020 (arXiv:2006.05467), summed as in Abdelfattah et al., ICLR 2021.
    """
    return _log(sum(float(flow.sum()) for flow in _some(probe.flow)))


def fisher(probe: Probe) -> float:
    r""":math:`\log \sum_c \frac{1}{2B} \sum_b (\sum_{ij} z_{bcij} \, \partial L / \partial z_{bcij})^2` over
    the channels c of all convolutions, z what they give.

    Theis, Korshunova, Tejani, Huszar: Faster gaze prediction with dense networks and Fisher pruning, 2018
    (arXiv:1801.05787); Turner, Crowley, O'Boyle, Storkey, Gray: BlockSwap, ICLR 2020 (arXiv:1906.04113);
    summed as in Abdelfattah et al., ICLR 2021.
    """
    _some(probe.weight_gradients)
    return _log(sum(channel_fisher(probe).values()))


def channel_fisher(probe: Probe) -> dict[str, float]:
    """The part of each convolution in :func:`fisher`."""
    return {
        name: float(
            (activation.detach() * probe.gradients[f"conv:{name}"]).sum((2, 3)).square().mean(0).sum() / 2
        )
        for name, activation in probe.activations.items()
        if f"conv:{name}" in probe.gradients
    }


def jacov(probe: Probe) -> float:
    r""":math:`-\sum_i [\log(\lambda_i + k) + 1 / (\lambda_i + k)]` with the eigenvalues of the correlations
    between the gradients of different images' summed scores to the images, k = 1e-5.

    Mellor, Turner, Storkey, Crowley: Neural Architecture Search without Training, first version, 2020
    (arXiv:2006.04647v1); ``jacob_cov`` of Abdelfattah et al., ICLR 2021.
    """
    jacobian = probe.jacobian.double()
    if not (jacobian.abs().amax(1) > 0).all():
        return math.nan
    values = torch.linalg.eigvalsh(torch.corrcoef(jacobian)) + 1e-5
    return float(-(values.log() + 1 / values).sum())


def naswot(probe: Probe) -> float:
    r""":math:`\log |\det K|`, where K counts for each pair of images the ReLUs that are active for both or
    for neither.

    Mellor, Turner, Storkey, Crowley: Neural Architecture Search without Training, ICML 2021
    (arXiv:2006.04647).
    """
    _ = probe.features
    codes = torch.cat(probe.codes, 1).float()
    count = codes.sum(1)
    kernel = (codes.shape[1] - count[:, None] - count + 2 * codes @ codes.T).double()
    sign, logarithm = torch.linalg.slogdet(kernel)
    return float(logarithm) if float(sign) > 0 else math.nan


def zen(probe: Probe) -> float:
    r""":math:`\log \mathbb{E} \lVert f(x) - f(x + \epsilon n) \rVert_1 + \sum_i \log \sigma_i`, f the
    features before the mean over the pixels, :math:`\epsilon = 0.01`, n Gaussian noise and :math:`\sigma_i`
    the deviation that the i-th batch normalisation divides by.

    Lin, Wang, Sun, Chen, Sun, Qian, Li, Jin: Zen-NAS, ICCV 2021 (arXiv:2102.01063). The images are those of
    the other proxies; shortcuts are kept.
    """
    features = probe.features.detach()
    difference = float((features - probe.moved).abs().mean())
    return _log(difference) + sum(_log(float(variance)) / 2 for variance in probe.variances)


# -- our own -------------------------------------------------------------------------------------------------


def layer_gradients(probe: Probe) -> float:
    r""":math:`\sum_l \log \lVert \partial L / \partial W_l \rVert_2` over the convolutions: many layers, of
    which none is starved. Our own.
    """
    gradients = _some({n: g for n, g in probe.weight_gradients.items() if g.dim() == 4})
    return sum(math.log(float(gradient.norm()) + 1e-8) - math.log(1e-8) for gradient in gradients)


def input_gradient(probe: Probe) -> float:
    r""":math:`\log \lVert \partial L / \partial x \rVert_2` of the batch x: the loss reaches the images. Our
    own.
    """
    if "images" not in probe.gradients:
        return math.nan
    return _log(float(probe.gradients["images"].square().sum())) / 2


def jacobian_volume(probe: Probe) -> float:
    """The log-determinant of the correlations between the gradients of the loss to different images: images
    are told apart by different pixels. Our own.
    """
    if "images" not in probe.gradients:
        return math.nan
    return _log_volume(probe.gradients["images"].flatten(1).double())


def feature_volume(probe: Probe) -> float:
    """The log-determinant of the correlations between images' features before the mean over the pixels:
    images are told apart by their features. Our own.
    """
    return _log_volume(probe.features.detach().flatten(1).double())


def feature_cosine(probe: Probe) -> float:
    """The mean cosine between the pooled features of different images. Our own."""
    features = nn.functional.normalize(probe.features.detach().mean((2, 3)).double(), dim=1, eps=TINY)
    if not float(features.abs().sum()) > 0:
        return math.nan
    cosines = features @ features.T
    count = len(cosines)
    return float((cosines.sum() - cosines.diagonal().sum()) / (count * (count - 1)))


def feature_rank(probe: Probe) -> float:
    r"""The effective rank :math:`\exp H(\lambda / \sum \lambda)` of the covariance of the features of
    different images, H the entropy (Roy and Vetterli, EUSIPCO 2007). Our own use.
    """
    features = probe.features.detach().flatten(1).double()
    values = torch.linalg.svdvals(features - features.mean(0)).square()
    shares = values / values.sum()
    return float(torch.exp(-(shares * (shares + TINY).log()).sum()))


def relus(probe: Probe) -> float:
    """The logarithm of the number of ReLUs: an upper bound of what NASWOT counts."""
    _ = probe.features
    return _log(sum(code.shape[1] for code in probe.codes))


def multiply_adds(probe: Probe) -> float:
    """The logarithm of the multiply-adds of the convolutions that are run for one image: the floor that a
    proxy should pass.
    """
    _ = probe.features
    return _log(probe.multiply_adds)


def _log_volume(rows: Tensor) -> float:
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    if not (norms > 0).all():
        return math.nan
    rows = rows / norms
    kernel = rows @ rows.T
    return float(torch.logdet(kernel + 1e-5 * torch.eye(len(kernel), dtype=kernel.dtype)))


def _log(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


def _some(gradients: dict[str, Tensor]) -> list[Tensor]:
    """The gradients; raises :class:`ValueError` where there is none but zeros of the convolutions."""
    if not any(gradient.dim() == 4 and bool(gradient.any()) for gradient in gradients.values()):
        raise ValueError("no gradient")
    return list(gradients.values())


PROXIES: dict[str, Score] = {
    "grad-norm": grad_norm,
    "snip": snip,
    "synflow": synflow,
    "fisher": fisher,
    "jacov": jacov,
    "naswot": naswot,
    "zen": zen,
    "layer-gradients": layer_gradients,
    "input-gradient": input_gradient,
    "jacobian-volume": jacobian_volume,
    "feature-volume": feature_volume,
    "feature-cosine": feature_cosine,
    "feature-rank": feature_rank,
    "relus": relus,
    "multiply-adds": multiply_adds,
}
"""All proxies by their names."""
