from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CancelReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANCEL_REASON_UNSPECIFIED: _ClassVar[CancelReason]
    CANCEL_REASON_CALLER: _ClassVar[CancelReason]
    CANCEL_REASON_DEADLINE: _ClassVar[CancelReason]
CANCEL_REASON_UNSPECIFIED: CancelReason
CANCEL_REASON_CALLER: CancelReason
CANCEL_REASON_DEADLINE: CancelReason

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("sdk", "sdk_version", "versions", "pid", "commands", "capabilities")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SDK_FIELD_NUMBER: _ClassVar[int]
    SDK_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    sdk: str
    sdk_version: str
    versions: _containers.ScalarMap[str, str]
    pid: int
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sdk: _Optional[str] = ..., sdk_version: _Optional[str] = ..., versions: _Optional[_Mapping[str, str]] = ..., pid: _Optional[int] = ..., commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ..., capabilities: _Optional[_Iterable[str]] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("name", "doc", "args_schema", "result_schema", "streaming", "idempotent", "cancellable")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    ARGS_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    RESULT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STREAMING_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENT_FIELD_NUMBER: _ClassVar[int]
    CANCELLABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    doc: str
    args_schema: bytes
    result_schema: bytes
    streaming: bool
    idempotent: bool
    cancellable: bool
    def __init__(self, name: _Optional[str] = ..., doc: _Optional[str] = ..., args_schema: _Optional[bytes] = ..., result_schema: _Optional[bytes] = ..., streaming: bool = ..., idempotent: bool = ..., cancellable: bool = ...) -> None: ...

class ConfigureRequest(_message.Message):
    __slots__ = ("worker_id", "pool", "generation", "max_in_flight", "max_payload_bytes", "heartbeat_ms", "language_models", "default_language_model")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_MODELS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LANGUAGE_MODEL_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    pool: str
    generation: int
    max_in_flight: int
    max_payload_bytes: int
    heartbeat_ms: int
    language_models: _containers.RepeatedCompositeFieldContainer[LanguageModel]
    default_language_model: str
    def __init__(self, worker_id: _Optional[str] = ..., pool: _Optional[str] = ..., generation: _Optional[int] = ..., max_in_flight: _Optional[int] = ..., max_payload_bytes: _Optional[int] = ..., heartbeat_ms: _Optional[int] = ..., language_models: _Optional[_Iterable[_Union[LanguageModel, _Mapping]]] = ..., default_language_model: _Optional[str] = ...) -> None: ...

class LanguageModel(_message.Message):
    __slots__ = ("name", "model", "model_type", "api_key", "api_base", "temperature", "max_tokens", "timeout_ms", "num_retries", "cache", "extra")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    API_BASE_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    NUM_RETRIES_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    model_type: str
    api_key: str
    api_base: str
    temperature: float
    max_tokens: int
    timeout_ms: int
    num_retries: int
    cache: bool
    extra: bytes
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., model_type: _Optional[str] = ..., api_key: _Optional[str] = ..., api_base: _Optional[str] = ..., temperature: _Optional[float] = ..., max_tokens: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., num_retries: _Optional[int] = ..., cache: bool = ..., extra: _Optional[bytes] = ...) -> None: ...

class ConfigureResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AttachRequest(_message.Message):
    __slots__ = ("fragments", "calls", "cancels", "credits")
    FRAGMENTS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    fragments: _containers.RepeatedCompositeFieldContainer[Fragment]
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    cancels: _containers.RepeatedCompositeFieldContainer[Cancel]
    credits: _containers.RepeatedCompositeFieldContainer[Credit]
    def __init__(self, fragments: _Optional[_Iterable[_Union[Fragment, _Mapping]]] = ..., calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ..., cancels: _Optional[_Iterable[_Union[Cancel, _Mapping]]] = ..., credits: _Optional[_Iterable[_Union[Credit, _Mapping]]] = ...) -> None: ...

class AttachResponse(_message.Message):
    __slots__ = ("acked", "fragments", "chunks", "events", "results", "failures", "refusals", "heartbeat")
    ACKED_FIELD_NUMBER: _ClassVar[int]
    FRAGMENTS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    acked: int
    fragments: _containers.RepeatedCompositeFieldContainer[Fragment]
    chunks: _containers.RepeatedCompositeFieldContainer[Chunk]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    results: _containers.RepeatedCompositeFieldContainer[Result]
    failures: _containers.RepeatedCompositeFieldContainer[Failure]
    refusals: _containers.RepeatedCompositeFieldContainer[Refusal]
    heartbeat: Heartbeat
    def __init__(self, acked: _Optional[int] = ..., fragments: _Optional[_Iterable[_Union[Fragment, _Mapping]]] = ..., chunks: _Optional[_Iterable[_Union[Chunk, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., failures: _Optional[_Iterable[_Union[Failure, _Mapping]]] = ..., refusals: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class Fragment(_message.Message):
    __slots__ = ("call_id", "data")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    data: bytes
    def __init__(self, call_id: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("id", "command", "args", "fragmented", "session_id", "remaining_ms", "stream", "traceparent", "attempt")
    ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    FRAGMENTED_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REMAINING_MS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    id: int
    command: str
    args: bytes
    fragmented: bool
    session_id: str
    remaining_ms: int
    stream: bool
    traceparent: str
    attempt: int
    def __init__(self, id: _Optional[int] = ..., command: _Optional[str] = ..., args: _Optional[bytes] = ..., fragmented: bool = ..., session_id: _Optional[str] = ..., remaining_ms: _Optional[int] = ..., stream: bool = ..., traceparent: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("call_id", "reason")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    reason: CancelReason
    def __init__(self, call_id: _Optional[int] = ..., reason: _Optional[_Union[CancelReason, str]] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("call_id", "chunks")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    chunks: int
    def __init__(self, call_id: _Optional[int] = ..., chunks: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("call_id", "seq", "data", "fragmented")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FRAGMENTED_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    seq: int
    data: bytes
    fragmented: bool
    def __init__(self, call_id: _Optional[int] = ..., seq: _Optional[int] = ..., data: _Optional[bytes] = ..., fragmented: bool = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("call_id", "kind", "data")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    kind: str
    data: bytes
    def __init__(self, call_id: _Optional[int] = ..., kind: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("call_id", "result", "fragmented")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FRAGMENTED_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    result: bytes
    fragmented: bool
    def __init__(self, call_id: _Optional[int] = ..., result: _Optional[bytes] = ..., fragmented: bool = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("call_id", "reason", "type", "message", "traceback", "hint")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    reason: str
    type: str
    message: str
    traceback: str
    hint: str
    def __init__(self, call_id: _Optional[int] = ..., reason: _Optional[str] = ..., type: _Optional[str] = ..., message: _Optional[str] = ..., traceback: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("call_id", "reason", "message")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    reason: str
    message: str
    def __init__(self, call_id: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("seq", "in_flight", "lag_ms", "rss_bytes")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    LAG_MS_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    seq: int
    in_flight: int
    lag_ms: int
    rss_bytes: int
    def __init__(self, seq: _Optional[int] = ..., in_flight: _Optional[int] = ..., lag_ms: _Optional[int] = ..., rss_bytes: _Optional[int] = ...) -> None: ...
