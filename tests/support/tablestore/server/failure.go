// What the service says when it refuses: a code, a sentence, an HTTP number.
package main

import "fmt"

type failure struct {
	code    string
	message string
}

func refuse(code, format string, args ...any) *failure {
	return &failure{code, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *failure {
	return refuse("OTSParameterInvalid", format, args...)
}

func missing(format string, args ...any) *failure {
	return refuse("OTSObjectNotExist", format, args...)
}

// Clients decide by the code; the numbers are partly guesses.
var httpNumbers = map[string]int{
	"OTSAuthFailed":                              403,
	"OTSNoPermissionAccess":                      403,
	"OTSPermissionDenied":                        403,
	"OTSConditionCheckFail":                      403,
	"OTSQuotaExhausted":                          403,
	"OTSNotEnoughCapacityUnit":                   403,
	"OTSTooFrequentReservedThroughputAdjustment": 403,
	"OTSObjectNotExist":                          404,
	"OTSTableNotReady":                           404,
	"OTSMethodNotAllowed":                        405,
	"OTSObjectAlreadyExist":                      409,
	"OTSTunnelExist":                             409,
	"OTSRowOperationConflict":                    409,
	"OTSOperationConflict":                       409,
	"OTSRequestBodyTooLarge":                     413,
	"OTSInternalServerError":                     500,
	"OTSPartitionUnavailable":                    503,
	"OTSServerUnavailable":                       503,
	"OTSServerBusy":                              503,
	"OTSStorageServerBusy":                       503,
	"OTSOperationThrottled":                      503,
	"OTSTimeout":                                 503,
	"OTSRequestTimeout":                          503,
	"OTSTunnelServerUnavailable":                 503,
}

func (f *failure) number() int {
	if number, known := httpNumbers[f.code]; known {
		return number
	}
	return 400
}
