"""Proxies of many architectures: images, random weights, and a cache that goes on where a run was killed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import rankdata
from torch import Tensor

from archenc.errors import CorruptFile, InvalidParameter, UnknownName, hint, shown
from archenc.files.documents import canonical_json
from archenc.files.progress import progress as progress_bar
from archenc.files.trusted import Field, cache_root, open_npz, read_bytes, writing
from archenc.graphs import ArchGraphs
from archenc.proxies.scores import PROXIES, Probe, initialise, score
from archenc.spaces.networks import Network

Images = Literal["photos", "digits", "noise"]
FORMAT = 1
"""Goes into the names of cache files: another number where the same settings give other scores."""
CLASSES, STRIPES = 10, 5
MAX_CACHE_BYTES = 2**30
MAX_BATCH = 4096
COMBINATION = ("jacobian-volume", "feature-volume", "relus", "multiply-adds")
"""What :meth:`ProxyScores.combined` takes by default: of all sets of two to six of eleven proxies, the
smallest whose mean tau on 300 cells each of NAS-Bench-201, NAS-Bench-101 and NAS-Bench-Macro is within .003
of the best.
"""


@dataclass(frozen=True)
class Setting:
    """What the scores of an architecture depend on, beside the seed.

    Attributes:
        images: ``"photos"``, crops of the two photos that scikit-learn ships, whose classes are the regions
            they are from; ``"digits"``, scikit-learn's handwritten digits; or ``"noise"``, Gaussian noise of
            random classes.
        batch: how many of them, at least 4.
        channels, cells, resolution: of the network (:meth:`archenc.spaces.base.Space.build`), None for the
            small one's own.
    """

    images: Images = "photos"
    batch: int = 32
    channels: int | None = None
    cells: int | None = None
    resolution: int | None = None

    def __post_init__(self) -> None:
        if self.images not in get_args(Images):
            raise InvalidParameter(
                f"there are no images called {shown(self.images)}; choose photos, digits or noise"
            )
        if not isinstance(self.batch, int) or not 4 <= self.batch <= MAX_BATCH:
            raise InvalidParameter(
                f"a batch of {shown(self.batch)} images is none; give a whole number from 4 to {MAX_BATCH:,}"
            )

    def network(self, graphs: ArchGraphs, seed: int) -> Network:
        """The network of one architecture with the weights of the seed; torch's generator is left alone."""
        with torch.device("meta"):
            network: Network = graphs.space.build(
                graphs, channels=self.channels, cells=self.cells, resolution=self.resolution
            )
        network = network.to_empty(device="cpu")
        initialise(network, seed)
        return network


def batch_of(kind: Images, count: int, side: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3, side, side), standardised by channel, and their classes (count,) of ten.

    Raises:
        InvalidParameter: images larger than the regions of the photos.
    """
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % CLASSES
    if kind == "noise":
        images = rng.normal(size=(count, 3, side, side))
    elif kind == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        at = [rng.choice(np.flatnonzero(digits.target == k)) for k in classes]
        small = torch.from_numpy(digits.images[at])[:, None]
        large = torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear")
        images = large.expand(-1, 3, -1, -1).numpy()
    else:
        images = np.stack([_crop(int(k), side, rng) for k in classes])
    tensor = torch.from_numpy(np.ascontiguousarray(images)).float()
    tensor = tensor - tensor.mean((0, 2, 3), keepdim=True)
    return tensor / tensor.std((0, 2, 3), keepdim=True), torch.from_numpy(classes)


def _crop(k: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """(3, side, side) from the stripe of class k of one of the two photos; every second pixel, where the
    stripe is wide enough.
    """
    from sklearn.datasets import load_sample_images

    photo = load_sample_images().images[k % 2]
    height, width = photo.shape[0], photo.shape[1] // STRIPES
    if side > width:
        raise InvalidParameter(
            f"the regions of the photos are {width} pixels wide and no images of {side}; give a smaller "
            "resolution, or images='noise'"
        )
    step = 2 if 2 * side <= width else 1
    top = rng.integers(height - step * side + 1)
    left = (k // 2) * width + rng.integers(width - step * side + 1)
    crop: np.ndarray = photo[top : top + step * side : step, left : left + step * side : step]
    return crop.transpose(2, 0, 1).astype(np.float64)


# -- what comes of it ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ProxyScores:
    """Proxies of N architectures.

    Attributes:
        names: the P proxies.
        by_seed: float64 (S, N, P), NaN where a network gave none.
        different: how many of the architectures compute something different.
        computed: how many pairs of these and a seed were not in the cache.

    Examples:
        >>> import archenc
        >>> from archenc import proxies
        >>> graphs = archenc.create_space("nasbench201").sample(4, seed=0)
        >>> scores = proxies.compute(graphs, ["naswot", "synflow"], seeds=[0], cache=False)
        >>> scores.values.shape
        (4, 2)
        >>> graphs = graphs.with_architecture_features(scores.values)  # as side information of a predictor
    """

    names: tuple[str, ...]
    by_seed: np.ndarray
    different: int
    computed: int

    @property
    def values(self) -> np.ndarray:
        """float64 (N, P): the mean over the seeds that gave a number, NaN where none did."""
        there = np.isfinite(self.by_seed)
        total = np.where(there, self.by_seed, 0.0).sum(0)
        with np.errstate(invalid="ignore"):
            mean: np.ndarray = total / there.sum(0)
        return mean

    @property
    def missing_networks(self) -> int:
        """How many of the architectures have at least one proxy without a number."""
        return int(np.isnan(self.values).any(1).sum())

    def __getitem__(self, name: str) -> np.ndarray:
        """float64 (N,): one proxy."""
        return self.values[:, self.names.index(checked_names([name], self.names)[0])]

    def combined(self, names: Sequence[str] = COMBINATION) -> np.ndarray:
        """float64 (N,): a score without any label, the mean of the normal scores of the ranks of several
        proxies among these architectures.

        A network that gives none is the last. Ranks depend on which other architectures there are.

        Raises:
            UnknownName: a proxy that was not computed.
        """
        columns = [self.values[:, self.names.index(name)] for name in checked_names(names, self.names)]
        ranks = [rankdata(np.where(np.isnan(column), -np.inf, column)) for column in columns]
        mean: np.ndarray = np.mean([ndtri(rank / (len(rank) + 1)) for rank in ranks], axis=0)
        return mean


def checked_names(names: Iterable[str], known: Iterable[str] = PROXIES) -> list[str]:
    """The names of proxies; raises :class:`UnknownName` for one that is not among the known."""
    known = list(known)
    for name in names:
        if name not in known:
            remedy = hint(str(name), known, "choose among " + ", ".join(known))
            raise UnknownName(f"there is no proxy {shown(name)} here; {remedy}")
    return list(names)


def compute(
    graphs: ArchGraphs,
    names: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] = (0, 1),
    setting: Setting | None = None,
    cache: bool | Path = True,
    progress: bool = False,
) -> ProxyScores:
    """The proxies of architectures, of untrained small networks with random weights.

    Networks of one space share their random weights: a weight is drawn from the seed and its place in the
    network, so that two architectures differ by what they are rather than by luck. Architectures that compute
    the same (equal hashes of what is left when dead parts are cut) are one network and have the scores of the
    first that was computed.

    What is computed is appended to the cache at once, so that a run that was killed goes on where it stopped.

    Args:
        graphs: N architectures of a space that builds networks.
        names: which proxies (:data:`archenc.proxies.PROXIES`); all by default.
        seeds: of weights and images.
        setting: images and sizes.
        cache: whether to use the cache, ``$ARCHENC_CACHE/proxies``; or another folder.
        progress: whether to show a bar.

    Raises:
        UnknownName: no such proxy.
        InvalidParameter: a size at which the networks do not run, or a space that builds none.
    """
    setting = setting or Setting()
    names = tuple(checked_names(PROXIES if names is None else names))
    seeds = [checked_seed(seed) for seed in seeds]
    if not names or not seeds:
        raise InvalidParameter("there is nothing to compute; give at least one proxy and one seed")
    setting.network(graphs.space.sample(1, 0), 0)  # raises where none is built
    space = graphs.space
    forms = space.hash(space.simplify(space.node_form(graphs.with_features(None))))
    keys, first, inverse = np.unique(forms, axis=0, return_index=True, return_inverse=True)
    texts = [key.tobytes().hex() for key in keys]
    stores = [Store(_folder(cache), space.config(), setting, seed) for seed in seeds]
    work = [
        (store, at, missing)
        for store in stores
        for at, text in enumerate(texts)
        if (missing := [name for name in names if name not in store.found.get(text, {})])
    ]
    side: int = space.skeletons["small"].resolution if setting.resolution is None else setting.resolution
    batches = {store.seed: batch_of(setting.images, setting.batch, side, store.seed) for store in stores}
    for store, at, missing in progress_bar(work, "proxies", show=progress):
        network = setting.network(graphs[int(first[at])], store.seed)
        probe = Probe(network, *batches[store.seed], store.seed)
        store.add(texts[at], score(probe, missing))
    table = np.array(
        [[[store.found[text][name] for name in names] for text in texts] for store in stores],
        dtype=np.float64,
    ).reshape(len(stores), len(texts), len(names))
    return ProxyScores(names, table[:, inverse.reshape(-1)], len(texts), len(work))


def read(path: str | os.PathLike[str], graphs: ArchGraphs) -> np.ndarray:
    """float64 (N, P): the scores of these architectures in a file that ``archenc proxies --out FILE.npz``
    wrote, by their hashes; NaN for those that are not in it.

    Raises:
        DataNotFound: there is no such file.
        CorruptFile: it is something else.
    """
    fields: dict[str, Field] = {"hashes": ((None, 16), "u"), "values": ((None, None), "f")}
    arrays = open_npz(path, fields, MAX_CACHE_BYTES)
    values = arrays["values"].astype(np.float64)
    if len(values) != len(arrays["hashes"]):
        raise CorruptFile(f"the arrays in {path} differ in length; write it again by 'archenc proxies'")
    known = {key.tobytes(): row for key, row in zip(arrays["hashes"], values, strict=True)}
    nothing = np.full(values.shape[1], np.nan)
    found = [known.get(key.tobytes(), nothing) for key in graphs.hash()]
    return np.array(found).reshape(len(graphs), values.shape[1])


def checked_seed(seed: Any) -> int:
    """The seed as an int; raises :class:`InvalidParameter` for what is none."""
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise InvalidParameter(f"the seed is {shown(seed)}; give whole numbers from 0 to 4,294,967,295")
    return int(seed)


def _folder(cache: bool | Path) -> Path | None:
    return (cache_root() / "proxies" if cache else None) if isinstance(cache, bool) else Path(cache)


class Store:
    """The scores of one setting and one seed by the hashes of architectures, as lines of a file.

    Each line has a checksum. A line that was cut off or damaged is not believed, and computed again.

    Attributes:
        found: the scores by proxy, by the hexadecimal hash.
        damaged: lines that were not believed.
    """

    def __init__(self, folder: Path | None, space: dict[str, Any], setting: Setting, seed: int) -> None:
        what = {"format": FORMAT, "space": space, "setting": asdict(setting), "seed": seed}
        name = hashlib.sha256(canonical_json(what).encode()).hexdigest()[:32]
        self.path = None if folder is None else folder / f"{name}.jsonl"
        self.seed = seed
        self.found: dict[str, dict[str, float]] = {}
        self.damaged = 0
        self.whole = True
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        content = read_bytes(path, MAX_CACHE_BYTES)
        self.whole = not content or content.endswith(b"\n")
        for line in content.splitlines():
            entry = _believed(line)
            if entry is None:
                self.damaged += 1
            else:
                self.found.setdefault(entry.key, {}).update(
                    {name: math.nan if value is None else value for name, value in entry.values.items()}
                )

    def add(self, key: str, scores: dict[str, float]) -> None:
        """Keep what was computed; raises :class:`archenc.errors.CannotWrite`."""
        self.found.setdefault(key, {}).update(scores)
        if self.path is None:
            return
        values = {name: None if math.isnan(value) else value for name, value in scores.items()}
        line = json.dumps({"key": key, "values": values, "check": _check(key, values)}) + "\n"
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(file, (line if self.whole else "\n" + line).encode())
            finally:
                os.close(file)
        self.whole = True


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    values: dict[str, float | None]
    check: int


def _believed(line: bytes) -> _Entry | None:
    try:
        entry = msgspec.json.decode(line, type=_Entry)
    except msgspec.MsgspecError:
        return None
    return entry if entry.check == _check(entry.key, entry.values) else None


def _check(key: str, values: dict[str, float | None]) -> int:
    return zlib.crc32(canonical_json([key, values]).encode())
