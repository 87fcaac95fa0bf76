"""What the host tells a worker about itself."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class LanguageModel:
    """An `lm` block of the configuration.

    Attributes:
        name: Its name.
        arguments: Keyword arguments of `dspy.LM`, the model and the key included.
    """

    name: str
    arguments: dict[str, Any]


@dataclasses.dataclass
class Settings:
    """A worker's identity and limits, as Configure says.

    Attributes:
        worker_id: ID of the worker, such as "qa-3".
        pool: Name of its pool.
        generation: Which process of the worker this is, from 1.
        max_in_flight: Calls at once.
        max_payload: Largest arguments or result, in bytes.
        heartbeat: Seconds between two heartbeats.
        models: Language models by name.
        default_model: Name of the one that programs use if they name none; empty if none.
    """

    worker_id: str = ""
    pool: str = ""
    generation: int = 0
    max_in_flight: int = 32
    max_payload: int = 64 << 20
    heartbeat: float = 1.0
    models: dict[str, LanguageModel] = dataclasses.field(default_factory=dict)
    default_model: str = ""

    def scrub(self, text: str) -> str:
        """Return text without the keys of the language models."""
        for model in self.models.values():
            key = model.arguments.get("api_key")
            if key and len(key) >= 8:
                text = text.replace(key, "(sensitive)")
        return text
