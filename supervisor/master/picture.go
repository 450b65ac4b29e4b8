package master

import (
	"context"
	"time"

	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// sitter is the loop as the maker of its pictures sees it: a snapshot.Source.
type sitter struct{ l *loop }

func (m sitter) Head() *snapshot.Master {
	l := m.l
	return &snapshot.Master{
		Name: l.name, KeeperPID: l.estate.Keeper(), StartedAt: l.startedAt, Config: l.plans.Config(), Stopping: l.state.Stopping(), WasReady: l.state.Ready(),
		Unkept: l.estate.MissingText(), Succession: l.estate.Succession(),
	}
}

func (m sitter) Apps() []*crew.App { return m.l.apps }

func (m sitter) Listed() (all []*crew.App) {
	for _, r := range m.l.state.List() {
		all = append(all, m.l.appOf(r))
	}
	return all
}

func (m sitter) Draw(a *crew.App) *snapshot.App {
	if a.Run == nil {
		return nil // it is being opened
	}
	return a.Picture(m.l.estate.Missing)
}

// Snapshot returns what the master knew at the end of the last turn of its loop. While a turn is under way it waits for the end
// of that, so that it has all that the caller can have seen a sign of. It fails with ErrEnded before Run and after it.
func (s *Supervisor) Snapshot(ctx context.Context) (*snapshot.Master, error) {
	select {
	case <-s.started:
	default:
		return nil, ErrEnded
	}
	m, over := s.published.Current()
	if over != nil {
		select {
		case <-over:
			m = s.published.Newest()
		case <-s.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case <-s.done:
		return nil, ErrEnded
	default:
		return m, nil
	}
}

// Status is what a master runs now: a copy that shares nothing with it.
type Status = snapshot.Status

// Status returns what runs now.
func (s *Supervisor) Status() (Status, error) {
	m, err := s.Snapshot(context.Background())
	if err != nil {
		return Status{}, err
	}
	return m.Status(time.Now()), nil
}
