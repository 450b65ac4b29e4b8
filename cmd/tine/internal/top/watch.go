package top

import (
	"context"

	"errors"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Watch shows a master on the terminal s until the user quits, or ctx ends, which is an error. st is its status now; choose
// returns the apps of a status that are shown. Watch does not wait for orders that are under way: the master carries them
// out, and Watch prints so.
func Watch(ctx context.Context, of Master, st api.Status, choose func(api.Status) []api.App, s term.Screen) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newModel(ctx, of, choose, s.Colours)
	m.width, m.height = s.Width, s.Height
	m.keep(st)
	_, err := tea.NewProgram(m, tea.WithContext(ctx)).Run()
	cancel()
	m.feeds.Wait()
	if errors.Is(err, tea.ErrInterrupted) {
		err = context.Canceled
	}
	if err != nil {
		return fmt.Errorf("cannot go on with the live view: %w", err)
	}
	for _, o := range m.orders {
		fmt.Fprintf(s, "the %s goes on without you: see tine status\n", o.title)
	}
	return nil
}

// Master is what Watch asks: a *control.Client.
type Master interface {
	Status(context.Context) (api.Status, error)
	Do(context.Context, api.Order, func(api.Progress)) error
	Gateways(ctx context.Context, app string) (api.Gateways, error)
	Logs(context.Context, api.LogQuery, func(api.LogLine) error) error
	EventsLast(ctx context.Context, after uint64, last int, follow bool, yield func(api.Event) error) error
}
