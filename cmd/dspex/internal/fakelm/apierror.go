package fakelm

import "net/http"

// apiError is the body of an error answer.
type apiError struct {
	Error apiErrorDetail `json:"error"`
}

// apiErrorDetail is what went wrong, in OpenAI's terms.
type apiErrorDetail struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// knownErrors are the errors that OpenAI sends with a status.
var knownErrors = map[int]struct{ kind, code, message string }{
	http.StatusBadRequest:            {"invalid_request_error", "", "The request is not valid."},
	http.StatusUnauthorized:          {"invalid_request_error", "invalid_api_key", "Incorrect API key provided."},
	http.StatusPaymentRequired:       {"insufficient_quota", "insufficient_quota", "You exceeded your current quota."},
	http.StatusForbidden:             {"permission_error", "", "You are not allowed to use this model."},
	http.StatusNotFound:              {"invalid_request_error", "model_not_found", "The model does not exist."},
	http.StatusRequestTimeout:        {"timeout_error", "", "The request timed out."},
	http.StatusRequestEntityTooLarge: {"invalid_request_error", "", "The request is too large."},
	http.StatusTooManyRequests:       {"requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."},
	http.StatusInternalServerError:   {"server_error", "", "The server had an error while processing your request."},
	http.StatusServiceUnavailable:    {"server_error", "", "The model is currently overloaded."},
}

// errorBody returns the error of a status. A message that is not empty replaces
// the usual one.
func errorBody(status int, message string) apiError {
	known, found := knownErrors[status]
	if !found {
		known.kind, known.message = "server_error", http.StatusText(status)
		if status < http.StatusInternalServerError {
			known.kind = "invalid_request_error"
		}
	}
	detail := apiErrorDetail{Message: known.message, Type: known.kind}
	if message != "" {
		detail.Message = message
	}
	if known.code != "" {
		detail.Code = &known.code
	}
	return apiError{detail}
}
