package api

import "context"

// Commander is the master, as the server of the control API sees it.
//
// All methods are safe for concurrent use and return soon after their context ends.
// What the caller is to blame for is a [*Refusal], with the status that fits; every
// other error is the master's own fault and becomes a 500. A name that is unknown is
// refused with 404 and, if one is near, a suggestion.
type Commander interface {
	// Status returns a copy that the caller may keep and change.
	Status(ctx context.Context) (Status, error)

	// Do carries an order out to its end and returns what came of it: nil when it was
	// done, a *Refusal when it was not begun, another error when it failed, such as an
	// aborted rollout. The end of ctx ends the wait, and not the order.
	//
	// progress, which may be nil, is called from one goroutine at a time, and never
	// after Do has returned. It may take up to Options.WriteTimeout: its caller must
	// not hold up the master meanwhile. The last call may be the Final one; where
	// there is none, the server makes it from the error.
	Do(ctx context.Context, order Order, progress func(Progress)) error

	// Events gives yield the events that are kept with an id greater than after, in
	// their order, and with follow those that come, until ctx ends or yield returns an
	// error, which it then returns. (The end of the master ends it with nil.) An
	// after that is greater than any id means that the master was started anew: all
	// that are kept. yield is called from the calling goroutine and may take up to
	// Options.WriteTimeout: what comes meanwhile waits in a bounded queue of this
	// reader, and what does not fit is counted in Event.Missed.
	Events(ctx context.Context, after uint64, follow bool, yield func(Event) error) error

	// Logs gives yield the lines that q chooses, oldest first, as Events does. A Grep
	// that is not a regular expression is refused with 400.
	Logs(ctx context.Context, q LogQuery, yield func(LogLine) error) error

	// Value returns one cached value, and what is known of it. The caller owns the bytes.
	Value(ctx context.Context, key string) ([]byte, CacheValue, error)
	// SetValue changes a value for all workers. It returns the epoch of the value, which
	// is that of before if it was equal. It keeps data.
	SetValue(ctx context.Context, key string, data []byte) (epoch uint64, err error)
	DeleteValue(ctx context.Context, key string) error

	// Decisions asks the workers of gateways which requests they delivered how. It takes little more than a second,
	// whatever the workers do.
	Decisions(ctx context.Context, q DecisionQuery) (Decisions, error)
	// Gateways asks the workers of gateways what they know of members, pools and requests, of one app or, where that is "", of all. It
	// takes little more than a second, whatever the workers do.
	Gateways(ctx context.Context, app string) (Gateways, error)

	// DrainMember has a gateway pick a member no more or, with Undo, again: see MemberDrain.
	DrainMember(ctx context.Context, d MemberDrain) error

	// Config returns the effective config as YAML, secrets left out.
	Config(ctx context.Context) (yaml []byte, err error)
	// Apply reads the config's files again. A config with errors changes nothing: 422.
	Apply(ctx context.Context, request ApplyRequest) (ApplyResult, error)

	// Call asks one worker, by its id, over its channel. One that does not answer
	// calls is refused with 501.
	Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error)
}
