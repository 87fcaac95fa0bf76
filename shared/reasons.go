package shared

import (
	"net/http"

	"google.golang.org/grpc/codes"
)

// Reason is one row of the error table. Reasons are stable: clients branch on
// them.
type Reason string

// The reasons, in groups: the caller's input, names that are not there, state,
// capacity, time, workers, language models, the host itself.
const (
	InvalidArgument  Reason = "INVALID_ARGUMENT"
	SignatureInvalid Reason = "SIGNATURE_INVALID"
	InputMismatch    Reason = "INPUT_MISMATCH"
	PayloadTooLarge  Reason = "PAYLOAD_TOO_LARGE"
	ConfigInvalid    Reason = "CONFIG_INVALID"

	CommandNotFound Reason = "COMMAND_NOT_FOUND"
	PoolNotFound    Reason = "POOL_NOT_FOUND"
	WorkerNotFound  Reason = "WORKER_NOT_FOUND"
	SessionNotFound Reason = "SESSION_NOT_FOUND"
	ProgramNotFound Reason = "PROGRAM_NOT_FOUND"

	AlreadyExists    Reason = "ALREADY_EXISTS"
	RevisionConflict Reason = "REVISION_CONFLICT"
	SessionTooLarge  Reason = "SESSION_TOO_LARGE"
	SessionLimit     Reason = "SESSION_LIMIT"
	ProgramLimit     Reason = "PROGRAM_LIMIT"

	QueueFull    Reason = "QUEUE_FULL"
	QueueTimeout Reason = "QUEUE_TIMEOUT"
	NotReady     Reason = "NOT_READY"
	Draining     Reason = "DRAINING"
	WorkerBusy   Reason = "WORKER_BUSY"

	DeadlineExceeded Reason = "DEADLINE_EXCEEDED"
	ExecutionTimeout Reason = "EXECUTION_TIMEOUT"
	Canceled         Reason = "CANCELLED"

	WorkerLost      Reason = "WORKER_LOST"
	StartFailed     Reason = "START_FAILED"
	PythonException Reason = "PYTHON_EXCEPTION"
	ResultInvalid   Reason = "RESULT_INVALID"
	ResultTooLarge  Reason = "RESULT_TOO_LARGE"
	Unsupported     Reason = "UNSUPPORTED"

	LMAuth           Reason = "LM_AUTH"
	LMRateLimited    Reason = "LM_RATE_LIMITED"
	LMTimeout        Reason = "LM_TIMEOUT"
	LMUnavailable    Reason = "LM_UNAVAILABLE"
	LMInvalidRequest Reason = "LM_INVALID_REQUEST"
	LMNotConfigured  Reason = "LM_NOT_CONFIGURED"
	LMError          Reason = "LM_ERROR"
	AdapterParse     Reason = "ADAPTER_PARSE"

	Forbidden         Reason = "FORBIDDEN"
	Unavailable       Reason = "UNAVAILABLE"
	HostLocked        Reason = "HOST_LOCKED"
	PythonEnvironment Reason = "PYTHON_ENVIRONMENT"
	StoreFailed       Reason = "STORE_FAILED"
	Internal          Reason = "INTERNAL"
)

// Sentinels for errors.Is, grouped by operation.
var (
	// ErrInvalidArgument: the request itself is wrong. Nothing was started.
	ErrInvalidArgument = &Error{Reason: InvalidArgument}
	// ErrSignatureInvalid: a program's signature is not one dspex accepts.
	ErrSignatureInvalid = &Error{Reason: SignatureInvalid}
	// ErrInputMismatch: the inputs do not fit the program's signature.
	ErrInputMismatch = &Error{Reason: InputMismatch}
	// ErrPayloadTooLarge: arguments or body exceed a limit.
	ErrPayloadTooLarge = &Error{Reason: PayloadTooLarge}

	// ErrCommandNotFound: the pool's workers have no such command.
	ErrCommandNotFound = &Error{Reason: CommandNotFound}
	// ErrPoolNotFound: the host has no such pool.
	ErrPoolNotFound = &Error{Reason: PoolNotFound}
	// ErrSessionNotFound: no such session, or it has expired.
	ErrSessionNotFound = &Error{Reason: SessionNotFound}
	// ErrProgramNotFound: no such program in the session, nor a global one.
	ErrProgramNotFound = &Error{Reason: ProgramNotFound}
	// ErrRevisionConflict: a compare-and-swap met another revision.
	ErrRevisionConflict = &Error{Reason: RevisionConflict}

	// ErrQueueFull: the pool's queue was full. The call did not run.
	ErrQueueFull = &Error{Reason: QueueFull}
	// ErrQueueTimeout: no slot became free in time. The call did not run.
	ErrQueueTimeout = &Error{Reason: QueueTimeout}
	// ErrNotReady: the pool has no worker that could become ready.
	ErrNotReady = &Error{Reason: NotReady}
	// ErrDraining: the pool or host takes no new calls.
	ErrDraining = &Error{Reason: Draining}

	// ErrExecutionTimeout: the call's time was over. It may have run.
	ErrExecutionTimeout = &Error{Reason: ExecutionTimeout}
	// ErrCanceled: the caller left or asked to stop.
	ErrCanceled = &Error{Reason: Canceled}
	// ErrWorkerLost: the worker died with the call in flight. It may have run.
	ErrWorkerLost = &Error{Reason: WorkerLost}
	// ErrStartFailed: a worker could not be started.
	ErrStartFailed = &Error{Reason: StartFailed}
	// ErrHostLocked: another host uses the data folder.
	ErrHostLocked = &Error{Reason: HostLocked}
	// ErrUnavailable: the host cannot be reached.
	ErrUnavailable = &Error{Reason: Unavailable}
)

// Exit codes of the command line.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitUnreachable = 3
	ExitDenied      = 4
	ExitNotFound    = 5
	ExitTimeout     = 6
	ExitOverloaded  = 7
	ExitInterrupted = 130
)

type reasonSpec struct {
	code      codes.Code
	status    int
	exit      int
	retryable bool
}

// reasons is the error table. A reason that is not in it, sent by a newer or
// foreign worker, counts as a failure of the worker's code.
var reasons = map[Reason]reasonSpec{
	InvalidArgument:  {codes.InvalidArgument, http.StatusBadRequest, ExitUsage, false},
	SignatureInvalid: {codes.InvalidArgument, http.StatusBadRequest, ExitUsage, false},
	InputMismatch:    {codes.InvalidArgument, http.StatusBadRequest, ExitUsage, false},
	PayloadTooLarge:  {codes.OutOfRange, http.StatusRequestEntityTooLarge, ExitUsage, false},
	ConfigInvalid:    {codes.InvalidArgument, http.StatusBadRequest, ExitUsage, false},

	CommandNotFound: {codes.NotFound, http.StatusNotFound, ExitNotFound, false},
	PoolNotFound:    {codes.NotFound, http.StatusNotFound, ExitNotFound, false},
	WorkerNotFound:  {codes.NotFound, http.StatusNotFound, ExitNotFound, false},
	SessionNotFound: {codes.NotFound, http.StatusNotFound, ExitNotFound, false},
	ProgramNotFound: {codes.NotFound, http.StatusNotFound, ExitNotFound, false},

	AlreadyExists:    {codes.AlreadyExists, http.StatusConflict, ExitFailed, false},
	RevisionConflict: {codes.FailedPrecondition, http.StatusPreconditionFailed, ExitFailed, false},
	SessionTooLarge:  {codes.OutOfRange, http.StatusRequestEntityTooLarge, ExitUsage, false},
	SessionLimit:     {codes.ResourceExhausted, http.StatusTooManyRequests, ExitOverloaded, true},
	ProgramLimit:     {codes.ResourceExhausted, http.StatusTooManyRequests, ExitOverloaded, false},

	QueueFull:    {codes.ResourceExhausted, http.StatusTooManyRequests, ExitOverloaded, true},
	QueueTimeout: {codes.DeadlineExceeded, http.StatusGatewayTimeout, ExitTimeout, true},
	NotReady:     {codes.Unavailable, http.StatusServiceUnavailable, ExitFailed, true},
	Draining:     {codes.Unavailable, http.StatusServiceUnavailable, ExitFailed, true},
	WorkerBusy:   {codes.ResourceExhausted, http.StatusTooManyRequests, ExitOverloaded, true},

	DeadlineExceeded: {codes.DeadlineExceeded, http.StatusGatewayTimeout, ExitTimeout, true},
	ExecutionTimeout: {codes.DeadlineExceeded, http.StatusGatewayTimeout, ExitTimeout, false},
	Canceled:         {codes.Canceled, 499, ExitInterrupted, false},

	WorkerLost:      {codes.Unavailable, http.StatusServiceUnavailable, ExitFailed, true},
	StartFailed:     {codes.Unavailable, http.StatusServiceUnavailable, ExitFailed, true},
	PythonException: {codes.Unknown, http.StatusInternalServerError, ExitFailed, false},
	ResultInvalid:   {codes.Unknown, http.StatusInternalServerError, ExitFailed, false},
	ResultTooLarge:  {codes.Unknown, http.StatusInternalServerError, ExitFailed, false},
	Unsupported:     {codes.Unimplemented, http.StatusNotImplemented, ExitFailed, false},

	LMAuth:           {codes.FailedPrecondition, http.StatusBadGateway, ExitFailed, false},
	LMRateLimited:    {codes.ResourceExhausted, http.StatusTooManyRequests, ExitOverloaded, true},
	LMTimeout:        {codes.DeadlineExceeded, http.StatusGatewayTimeout, ExitTimeout, true},
	LMUnavailable:    {codes.Unavailable, http.StatusBadGateway, ExitFailed, true},
	LMInvalidRequest: {codes.InvalidArgument, http.StatusBadRequest, ExitFailed, false},
	LMNotConfigured:  {codes.FailedPrecondition, http.StatusBadRequest, ExitFailed, false},
	LMError:          {codes.Unknown, http.StatusBadGateway, ExitFailed, false},
	AdapterParse:     {codes.Unknown, http.StatusBadGateway, ExitFailed, true},

	Forbidden:         {codes.PermissionDenied, http.StatusForbidden, ExitDenied, false},
	Unavailable:       {codes.Unavailable, http.StatusServiceUnavailable, ExitUnreachable, true},
	HostLocked:        {codes.FailedPrecondition, http.StatusConflict, ExitFailed, false},
	PythonEnvironment: {codes.FailedPrecondition, http.StatusInternalServerError, ExitFailed, false},
	StoreFailed:       {codes.Internal, http.StatusInternalServerError, ExitFailed, false},
	Internal:          {codes.Internal, http.StatusInternalServerError, ExitFailed, false},
}

// Reasons returns every reason of the table, in no order.
func Reasons() []Reason {
	all := make([]Reason, 0, len(reasons))
	for r := range reasons {
		all = append(all, r)
	}
	return all
}

// Known reports whether the table has the reason.
func (r Reason) Known() bool {
	_, ok := reasons[r]
	return ok
}

// Code is the gRPC code of the reason.
func (r Reason) Code() codes.Code { return r.spec().code }

// HTTPStatus is the HTTP status of the reason.
func (r Reason) HTTPStatus() int { return r.spec().status }

// ExitCode is the exit code of a command that ends with the reason.
func (r Reason) ExitCode() int { return r.spec().exit }

func (r Reason) spec() reasonSpec {
	if s, ok := reasons[r]; ok {
		return s
	}
	return reasons[PythonException]
}
