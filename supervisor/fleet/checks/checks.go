package checks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/fleet/rounds"
)

// Way is a way to check a member: TCP, HTTP or Agent.
type Way interface {
	// check asks one member. An error says what is wrong; with one that is Ours, and where ctx was canceled, the event is not used.
	check(ctx context.Context, m members.Member) (fleet.Event, error)
}

// Source checks members in one way. Make one with New.
type Source struct {
	*rounds.Rounds
	way  Way
	warn func(string)
	mute atomic.Int64 // until when, in nanoseconds since the start of the process, a fault of this host is not told again
}

// New makes a Source without members: Update has them. warn is optional; it is called by any goroutine with faults of this host, at most once a minute.
func New(way Way, o rounds.Options, warn func(string)) *Source {
	return &Source{Rounds: rounds.New(o), way: way, warn: warn}
}

// start is for times that do not jump.
var start = time.Now()

// Run checks the members until ctx is done. It calls emit from several goroutines.
func (s *Source) Run(ctx context.Context, emit func(fleet.Event)) {
	s.Rounds.Run(ctx, func(ctx context.Context, m members.Member) {
		ev, err := s.way.check(ctx, m)
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
		case Ours(err):
			s.ours(err)
		case ev != nil:
			emit(ev)
		}
	})
}

func (s *Source) ours(err error) {
	now := int64(time.Since(start)) + 1
	until := s.mute.Load()
	if s.warn == nil || now < until || !s.mute.CompareAndSwap(until, now+int64(time.Minute)) {
		return
	}
	s.warn(fmt.Sprintf("cannot check members: %v; that is a fault of this host, and says nothing of them", Reason(err)))
}

// Ours reports whether a check failed because of this host: it has no descriptor, port, memory or buffer left.
func Ours(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// Reason is an error of a connection in words, without the address, which is told beside it.
func Reason(err error) string {
	if e := (*net.OpError)(nil); errors.As(err, &e) && e.Err != nil {
		err = e.Err
	}
	return strings.TrimPrefix(err.Error(), "connect: ")
}

// Dial connects to the address of a member: host:port, or the path of a Unix socket.
func Dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, members.Network(address), address)
}

// talk connects to an address and has f talk, until ctx is done.
func talk(ctx context.Context, address string, f func(net.Conn) error) error {
	c, err := Dial(ctx, address)
	if err != nil {
		return timely(ctx, err, "no connection")
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return timely(ctx, f(c), "no answer")
}

// timely says of an error of a time that is over what was missing.
func timely(ctx context.Context, err error, missing string) error {
	if err != nil && (errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)) {
		return fmt.Errorf("%s in time", missing)
	}
	return err
}

// checked is the event of a check that passed or failed.
func checked(m members.Member, err error) (fleet.Event, error) {
	if err != nil {
		return fleet.Checked{ID: m.ID, Why: Reason(err)}, err
	}
	return fleet.Checked{ID: m.ID, OK: true}, nil
}

// TCP passes where a connection can be made.
type TCP struct{}

func (TCP) check(ctx context.Context, m members.Member) (fleet.Event, error) {
	return checked(m, talk(ctx, m.Address, func(net.Conn) error { return nil }))
}
