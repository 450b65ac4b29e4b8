package cache

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tinehq/tine/ipc"
)

// MaxFetched is the largest value that a source may yield, in bytes. A larger value can be set or published, which is a decision
// of a person or a program; the length of what a command prints is not.
const MaxFetched = 64 << 20

// Source is where a cached value comes from. One goroutine at a time uses it. A Source that is also an io.Closer is
// closed by its job at the end, but never during a Fetch.
type Source interface {
	// Fetch returns the value as it is now; the caller owns the payload's reference. It should return soon after ctx is done.
	Fetch(ctx context.Context) (*ipc.Payload, error)
	// String names the source in logs and in status.
	String() string
}

// Encode makes the payload of a value: []byte and string as they are, all else as JSON. So 0 is "0", false is "false",
// and "" is the empty payload: values like any other.
func Encode(value any) (*ipc.Payload, error) {
	var bytes []byte
	switch v := value.(type) {
	case []byte:
		bytes = v
	case string:
		bytes = []byte(v)
	default:
		encoded, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("cannot encode %T: %w", value, err)
		}
		bytes = encoded
	}
	return ipc.NewPayload(bytes)
}

// Func is the source of a program that embeds the supervisor: it calls f. A panic in f is its error.
func Func(f func(context.Context) (any, error)) Source { return Named("func", f) }

// Named is Func with another name in logs and in status.
func Named(name string, f func(context.Context) (any, error)) Source { return funcSource{name, f} }

type funcSource struct {
	name string
	f    func(context.Context) (any, error)
}

func (f funcSource) String() string { return f.name }

func (f funcSource) Fetch(ctx context.Context) (p *ipc.Payload, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("the function panicked: %v", r)
		}
	}()
	value, err := f.f(ctx)
	if err != nil {
		return nil, err
	}
	return Encode(value)
}

// tooLarge is the error of a source that yields more than it may.
func tooLarge(what string, limit int64) error {
	return fmt.Errorf("%s more than the limit of %s", what, size(limit))
}

func size(bytes int64) string {
	if bytes >= 1<<20 && bytes%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
