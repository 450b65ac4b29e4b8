package master

import (
	"cmp"
	"context"
	"errors"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/desk"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/gateways"
	"github.com/tinehq/tine/supervisor/plan"
	"github.com/tinehq/tine/supervisor/snapshot"
	"github.com/tinehq/tine/supervisor/values"
)

// Commander is the Supervisor for package control: what its socket serves, and what a program that embeds a master can mount
// elsewhere. All its methods may be called at any time; before Run and after its end they return ErrEnded. What its orders mean
// is said at [serve.Server.Commander].
func (s *Supervisor) Commander() api.Commander { return s.server.Commander() }

// serving is the Supervisor as package serve sees it: a serve.Master.
type serving struct{ s *Supervisor }

func (m serving) Snapshot(ctx context.Context) (*snapshot.Master, error) { return m.s.Snapshot(ctx) }

func (m serving) Upgrade(ctx context.Context, binary string) error { return m.s.Upgrade(ctx, binary) }

func (m serving) Place(ctx context.Context, o api.Order, progress func(api.Progress)) error {
	return desk.Place(ctx, func(with func(chan<- desk.Begun) desk.Message) (desk.Begun, error) {
		return ask(context.Background(), m.s, func(answer chan<- desk.Begun) message { return toDesk{with(answer)} })
	}, m.s.done, o, progress)
}

// ask hands a message to the loop and waits for its answer, which the message sends on a channel with room for it. The end of ctx ends
// the wait, and not what the message does.
func ask[A any](ctx context.Context, s *Supervisor, make func(answer chan<- A) message) (A, error) {
	var none A
	select {
	case <-s.started:
	default:
		return none, ErrEnded
	}
	answer := newAnswer[A]()
	select {
	case <-s.done:
		return none, ErrEnded
	default:
	}
	select {
	case s.inbox <- make(answer):
	case <-s.done:
		return none, ErrEnded
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case a := <-answer:
		return a, nil
	case <-s.done:
		select {
		case a := <-answer: // the last that it answered
			return a, nil
		default:
			return none, ErrEnded
		}
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Shutdown ends the master, and waits for that. Its success is that no master is there any more.
func (m serving) Shutdown(ctx context.Context, o api.Order) error {
	_, err := ask(ctx, m.s, func(answer chan<- struct{}) message { return shutdown{o, answer} })
	if err != nil {
		return err
	}
	select {
	case <-m.s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shutdown is the end of tine itself. Its answer is that it began.
type shutdown struct {
	api.Order
	answer chan<- struct{}
}

func (m shutdown) apply(l *loop) {
	if m.Now || !l.state.Stopping() {
		stopOrder{now: m.Now, reason: cmp.Or(m.Reason, "ordered to")}.apply(l)
	}
	m.answer <- struct{}{}
}

func (m serving) Events(ctx context.Context, after uint64, follow bool, yield func(api.Event) error) error {
	return m.s.book.Read(ctx, after, follow, yield)
}

func (m serving) Value(ctx context.Context, key string) (values.Found, error) {
	return ask(ctx, m.s, func(answer chan<- values.Found) message { return ofValues{values.Look{Key: key, Answer: answer}} })
}

func (m serving) SetValue(ctx context.Context, key string, data []byte) (uint64, error) {
	return m.s.set(ctx, key, data)
}

func (m serving) DeleteValue(ctx context.Context, key string) (values.Found, error) {
	return ask(ctx, m.s, func(answer chan<- values.Found) message { return ofValues{values.Forget{Key: key, Answer: answer}} })
}

// whichGateways asks for the gateways of the loop, which may be told from any goroutine.
type whichGateways chan<- *gateways.Gateways

func (a whichGateways) apply(l *loop) { a <- l.gates }

func (m serving) DrainMember(ctx context.Context, d api.MemberDrain) (known bool, err error) {
	gates, err := ask(ctx, m.s, func(answer chan<- *gateways.Gateways) message { return whichGateways(answer) })
	if err != nil {
		return false, err
	}
	known = gates.Tell(ctx, d.Gateway, fleet.Drain{ID: d.Member, Reason: cmp.Or(d.Reason, "a person has drained it"), Undo: d.Undo})
	return known, ctx.Err()
}

func (m serving) Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error) {
	return m.s.Call(ctx, app, worker, method, in)
}

func (m serving) Logs(ctx context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
	select {
	case <-m.s.started:
	default:
		return ErrEnded
	}
	return m.s.logs.Lines(ctx, q, yield)
}

// Apply applies a config for a caller that waits for the end of the rollouts that it brings.
func (m serving) Apply(ctx context.Context, next *config.Config) (applied bool, err error) {
	b, err := ask(ctx, m.s, func(answer chan<- desk.Begun) message { return ofPlan{plan.ApplyFor{Config: next, Answer: answer}} })
	if err == nil {
		err = b.Err
	}
	if err != nil {
		return false, err
	}
	failures, err := b.Wait(ctx, m.s.done)
	if errors.Is(err, api.ErrCut) {
		err = nil // it is applied, and this master has ended since
	}
	return true, errors.Join(append(failures, err)...)
}
