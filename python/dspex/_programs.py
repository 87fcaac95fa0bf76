"""DSPy programs: built from what the host sends, cached by what they are.

Programs live in the host. A call brings its program along, so that a worker runs programs it has
never seen, and losing a worker loses nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from dspex import _types
from dspex.errors import InputMismatch, InvalidArgument, LanguageModelError

if TYPE_CHECKING:
    from dspex._settings import Settings

# Built programs that a worker keeps.
_MAX_CACHED = 256
# Answers of language models that a worker keeps in memory.
_MAX_ANSWERS = 10_000
_MODULES = ("Predict", "ChainOfThought")

# Reasons of DSPy's errors, the most special first.
_REASONS = (
    ("LMAuthError", "LM_AUTH", "check the lm's api_key"),
    ("LMBillingError", "LM_AUTH", "check the account of the lm's api_key"),
    ("LMRateLimitError", "LM_RATE_LIMITED", "try again later"),
    ("LMTimeoutError", "LM_TIMEOUT", "raise the lm's timeout, or try again"),
    ("LMTransportError", "LM_UNAVAILABLE", "check the lm's api_base and the network"),
    ("LMServerError", "LM_UNAVAILABLE", "the provider failed; try again later"),
    ("LMConfigurationError", "LM_NOT_CONFIGURED", "check the lm block"),
    ("LMInvalidRequestError", "LM_INVALID_REQUEST", "check the lm's model and the program's config"),
    (
        "AdapterParseError",
        "ADAPTER_PARSE",
        "the model did not answer in the form asked for; try again, or use another model",
    ),
    ("LMError", "LM_ERROR", ""),
)


_ready = False


def load_dspy() -> Any:
    """Import DSPy with what a server needs: no price list from the network, no cache on disk."""
    global _ready
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    import dspy

    if not _ready:
        # Entries on disk are pickles, which whoever can write the folder could forge.
        dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True, memory_max_entries=_MAX_ANSWERS)
        _ready = True
    return dspy


async def _loaded_dspy() -> Any:
    """Import DSPy without holding up the calls that run."""
    return load_dspy() if _ready else await asyncio.to_thread(load_dspy)


class _Built:
    """A program that is ready to run."""

    def __init__(self, module: Any, inputs: list[str], outputs: list[str], model: str) -> None:
        self.module = module
        self.inputs = inputs
        self.outputs = outputs
        self.model = model


class Programs:
    """Builds and runs programs. Used by the event loop only."""

    def __init__(self) -> None:
        """Make a builder without language models."""
        self._settings: Settings | None = None
        self._models: dict[str, Any] = {}
        self._cache: OrderedDict[str, _Built] = OrderedDict()

    def configure(self, settings: Settings) -> None:
        """Make the language models that the host has."""
        self._settings = settings
        self._models = {}
        if settings.models:
            dspy = load_dspy()
            self._models = {name: dspy.LM(**m.arguments) for name, m in settings.models.items()}

    async def create_program(self, name: str, program_data: dict[str, Any]) -> dict[str, Any]:
        """Build a program and describe it. The host has checked it and keeps it; no model is called."""
        await _loaded_dspy()
        built = self._built(program_data)
        signature = program_data["spec"]["signature"]
        return {
            "program_id": name,
            "module": program_data["spec"]["module"],
            "inputs": signature["inputs"],
            "outputs": signature["outputs"],
            "result_fields": built.outputs,
        }

    async def execute_program(
        self, program_id: str, inputs: dict[str, Any], program_data: dict[str, Any]
    ) -> dict[str, Any]:
        """Run a program on its inputs and return its typed outputs, and the tokens that it used."""
        dspy = await _loaded_dspy()
        built = self._built(program_data)
        if not set(inputs) <= set(built.inputs):
            raise InputMismatch(f"program {program_id!r} takes the inputs {', '.join(built.inputs)}")
        lm = self._model(built.model)
        # A context for this call alone: no setting, trace or history is shared between calls.
        with dspy.context(lm=lm, trace=[], disable_history=True, track_usage=True):
            try:
                prediction = await built.module.acall(**inputs)
            except Exception as e:
                raise _explain(e) from e
        answer: dict[str, Any] = {
            "program_id": program_id,
            "revision": program_data.get("revision"),
            "outputs": {name: prediction[name] for name in built.outputs if name in prediction},
        }
        if usage := prediction.get_lm_usage():
            answer["usage"] = usage
        return answer

    async def list_programs(self, programs: list[dict[str, Any]]) -> dict[str, Any]:
        """List the programs that the call can run, and which of them this worker has built."""
        return {"programs": [{**p, "cached": p.get("hash") in self._cache} for p in programs]}

    async def delete_program(self, program_id: str, hash: str = "") -> dict[str, Any]:  # noqa: A002 - its name in the call
        """Drop a program that the host has deleted."""
        self._cache.pop(hash, None)
        return {"program_id": program_id, "deleted": True}

    def _built(self, data: dict[str, Any]) -> _Built:
        key = data.get("hash") or ""
        built = self._cache.get(key)
        if built is None:
            built = _build(data["spec"])
            if key:
                self._cache[key] = built
                if len(self._cache) > _MAX_CACHED:
                    self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(key)
        return built

    def _model(self, name: str) -> Any:
        wanted = name or (self._settings.default_model if self._settings else "")
        if (lm := self._models.get(wanted)) is not None:
            return lm
        if wanted:
            raise LanguageModelError(f"this pool has no lm {wanted!r}", reason="LM_NOT_CONFIGURED")
        raise LanguageModelError(
            "this pool has no lm", reason="LM_NOT_CONFIGURED", hint='add an lm block, and lm = "its name" to the pool'
        )


def _build(spec: dict[str, Any]) -> _Built:
    """Build a program from its definition, without parsing any text as code."""
    dspy = load_dspy()
    if spec["module"] not in _MODULES:
        raise InvalidArgument(f"module {str(spec['module'])[:80]!r} is not one of {', '.join(_MODULES)}")
    fields: dict[str, Any] = {}
    for side, make in (("inputs", dspy.InputField), ("outputs", dspy.OutputField)):
        for field in spec["signature"][side]:
            desc = field.get("desc")
            fields[field["name"]] = (_types.parse_type(field["type"]), make(desc=desc) if desc else make())
    signature = dspy.Signature(fields, spec.get("instructions") or None)
    module = getattr(dspy, spec["module"])(signature, **(spec.get("config") or {}))
    inputs = [f["name"] for f in spec["signature"]["inputs"]]
    if demos := spec.get("demos"):
        for predictor in module.predictors():
            predictor.demos = [dspy.Example(**d).with_inputs(*inputs) for d in demos]
    outputs = [f["name"] for f in spec["signature"]["outputs"]]
    if spec["module"] == "ChainOfThought":
        outputs = ["reasoning", *outputs]
    return _Built(module, inputs, outputs, spec.get("lm") or "")


def _explain(error: Exception) -> Exception:
    """Return an error with a reason for what DSPy raised; other exceptions stay as they are."""
    names = {cls.__name__ for cls in type(error).__mro__}
    for name, reason, hint in _REASONS:
        if name in names:
            if reason == "LM_UNAVAILABLE" and "timed out" in str(error):
                reason, hint = "LM_TIMEOUT", "raise the lm's timeout, or try again"
            return LanguageModelError(f"{type(error).__name__}: {error}", reason=reason, hint=hint)
    return error
