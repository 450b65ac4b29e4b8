package handle

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tinehq/tine/ipc"
)

// NoHandler is the error of a call by a method that the worker does not know.
type NoHandler string

func (e NoHandler) Error() string { return string(e) }

// NoWorker is the error of a call for an app or a worker that is not there.
type NoWorker string

func (e NoWorker) Error() string { return string(e) }

// Answer returns a copy of what a worker has answered to a call of method, and releases the Reply. The error is the worker's own, or a
// [NoHandler].
func Answer(method string, r ipc.Reply) ([]byte, error) {
	if r.Payload != nil {
		defer r.Payload.Release()
	}
	if strings.HasPrefix(r.Error, ipc.NoHandler) {
		return nil, fmt.Errorf("cannot call %s: %w", method, NoHandler(r.Error))
	}
	if r.Error != "" {
		return nil, fmt.Errorf("cannot call %s: %s", method, r.Error)
	}
	if r.Payload == nil {
		return nil, nil
	}
	b, err := r.Payload.Bytes()
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer of %s: %w", method, err)
	}
	return bytes.Clone(b), nil
}
