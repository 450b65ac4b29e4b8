package serve

import (
	"context"
	"errors"

	"github.com/tinehq/tine/supervisor/control/api"
)

// endedCommander wraps the Commander for the control socket: after the master's end it answers 503 (ending) in place of ErrEnded,
// so that clients try again with the next master.
type endedCommander struct{ api.Commander }

func ending(err error) error {
	if errors.Is(err, ErrEnded) {
		return api.Ending()
	}
	return err
}

func (c endedCommander) Status(ctx context.Context) (api.Status, error) {
	st, err := c.Commander.Status(ctx)
	return st, ending(err)
}

func (c endedCommander) Do(ctx context.Context, o api.Order, progress func(api.Progress)) error {
	return ending(c.Commander.Do(ctx, o, progress))
}

func (c endedCommander) Events(ctx context.Context, after uint64, follow bool, yield func(api.Event) error) error {
	return ending(c.Commander.Events(ctx, after, follow, yield))
}

func (c endedCommander) Logs(ctx context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
	return ending(c.Commander.Logs(ctx, q, yield))
}

func (c endedCommander) Value(ctx context.Context, key string) ([]byte, api.CacheValue, error) {
	data, v, err := c.Commander.Value(ctx, key)
	return data, v, ending(err)
}

func (c endedCommander) SetValue(ctx context.Context, key string, data []byte) (uint64, error) {
	epoch, err := c.Commander.SetValue(ctx, key, data)
	return epoch, ending(err)
}

func (c endedCommander) DeleteValue(ctx context.Context, key string) error {
	return ending(c.Commander.DeleteValue(ctx, key))
}

func (c endedCommander) DrainMember(ctx context.Context, d api.MemberDrain) error {
	return ending(c.Commander.DrainMember(ctx, d))
}

func (c endedCommander) Decisions(ctx context.Context, q api.DecisionQuery) (api.Decisions, error) {
	all, err := c.Commander.Decisions(ctx, q)
	return all, ending(err)
}

func (c endedCommander) Config(ctx context.Context) ([]byte, error) {
	text, err := c.Commander.Config(ctx)
	return text, ending(err)
}

func (c endedCommander) Apply(ctx context.Context, request api.ApplyRequest) (api.ApplyResult, error) {
	result, err := c.Commander.Apply(ctx, request)
	return result, ending(err)
}

func (c endedCommander) Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error) {
	out, err := c.Commander.Call(ctx, app, worker, method, in)
	return out, ending(err)
}
