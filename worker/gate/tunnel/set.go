package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Options of a Set.
type Options struct {
	// Idle ends a tunnel in which no byte has passed for so long; 0: none ends so.
	Idle time.Duration

	// Count counts a tunnel that has come from another worker at its member, until release is called. nil: none is counted.
	Count func(Info) (release func())

	Log *slog.Logger // nil: slog.Default
}

// Set has the tunnels of one worker. It may be used by all goroutines at once.
type Set struct {
	options Options

	mu      sync.Mutex
	all     map[*tunnel]struct{}
	changed chan struct{} // poked when one has come or gone
	sweep   *time.Timer   // runs while there are tunnels and Idle is set
	door    *door         // nil: none comes from another worker

	late context.Context // of a Drain that has returned: what begins now is to move too; nil: there was none
}

// New makes a Set. It takes no goroutine while it has no tunnel, and Listen was not called.
func New(o Options) *Set {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Set{options: o, all: map[*tunnel]struct{}{}, changed: make(chan struct{}, 1)}
}

// Run passes bytes between client and member, first those of fromClient and fromMember, until both have ended, one has failed, or the
// tunnel has moved to another worker. The caller closes both connections then.
func (s *Set) Run(info Info, client, member net.Conn, fromClient, fromMember []byte) (moved bool) {
	t := newTunnel(info, client, member, [2][]byte{fromClient, fromMember})
	s.add(t)
	defer s.remove(t)
	return t.run()
}

func (s *Set) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *Set) add(t *tunnel) {
	t.active.Store(now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[t] = struct{}{}
	if s.late != nil {
		go s.Drain(s.late)
	}
	if s.options.Idle > 0 && s.sweep == nil {
		s.sweep = time.AfterFunc(s.options.Idle/4, s.endIdle)
	}
	s.poke()
}

func (s *Set) remove(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, t)
	if len(s.all) == 0 && s.sweep != nil {
		s.sweep.Stop()
		s.sweep = nil
	}
	s.poke()
}

// Len is how many tunnels there are.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// endIdle closes the tunnels that were silent for too long.
func (s *Set) endIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.all {
		if now()-t.active.Load() >= int64(s.options.Idle) {
			t.halves[0].from.Close()
			t.halves[1].from.Close()
		}
	}
	if s.sweep != nil {
		s.sweep.Reset(s.options.Idle / 4)
	}
}

// adopt pumps a tunnel that has come from another worker, in a goroutine of its own.
func (s *Set) adopt(t *tunnel) {
	s.add(t)
	go func() {
		defer t.halves[0].from.Close()
		defer t.halves[1].from.Close()
		defer s.remove(t)
		if s.options.Count != nil {
			defer s.options.Count(t.info)()
		}
		t.run()
	}()
}

// errStays is why a tunnel cannot move, to whichever successor.
var errStays = errors.New("the tunnel cannot leave its process")

// Drain gives the tunnels to the successor, and returns when none is left or ctx ends. Those that cannot move go on here meanwhile. Those
// that begin later, of requests that are still being answered, move too until ctx ends.
func (s *Set) Drain(ctx context.Context) {
	stay := map[*tunnel]bool{}
	var road *road
	defer func() { road.close() }()
	moved, told := 0, false
	for {
		s.mu.Lock()
		var next []*tunnel
		for t := range s.all {
			if !stay[t] {
				next = append(next, t)
			}
		}
		left := len(s.all)
		if s.late = nil; left == 0 {
			s.late = ctx
		}
		s.mu.Unlock()
		var why error
		for _, t := range next {
			if ctx.Err() != nil {
				return
			}
			stay[t] = true
			if road == nil {
				if road, why = s.toSuccessor(); why != nil {
					continue
				}
			}
			err := road.move(t)
			switch {
			case err == nil:
				moved++
			case !errors.Is(err, errStays):
				road.close()
				road, why = nil, err
			default:
				why = err
			}
		}
		if why != nil && !told {
			told = true
			s.options.Log.Info("tunnels stay with this worker until they end or its drain does", "tunnels", left, "moved", moved, "why", why)
		}
		if left == 0 {
			if moved > 0 {
				s.options.Log.Info("tunnels have moved to the next worker", "tunnels", moved)
			}
			return
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return
		}
	}
}
