// Package targets keeps the table of members for a list of addresses: it looks up their names, checks by a connection that each can be
// reached, and has package fleet decide what follows.
//
//	"db.internal:80", "10.0.0.2:80", "/run/web.sock" ──▶ Targets.Table, once a second ──▶ a document of package ipc/members
//
// It is the source of a cached value: `members: [...]` in a config. Nothing here is called by two goroutines at once.
package targets

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/fleet/checks"
)

const (
	// checkTimeout bounds one connection that is made as a check.
	checkTimeout = time.Second
	// lookTimeout bounds the look-up of one name.
	lookTimeout = 2 * time.Second
	// atOnce bounds the connections and look-ups under way.
	atOnce = 256
)

// Source is what the status of a master calls this source of a cached value.
const Source = "members"

// Targets is a list of addresses, and what is known of them.
type Targets struct {
	all      []members.Member // as they are wanted: an address may be a name
	found    [][]members.Member
	listed   []members.Member // the newest list that was emitted
	silent   bool             // some name could not be looked up the last time
	fleet    *fleet.Fleet
	resolver func(ctx context.Context, host string) ([]netip.Addr, error)
	dial     func(ctx context.Context, address string) error
	table    members.Table
}

// New makes Targets of addresses that members.CheckAddresses accepts.
func New(all []string) *Targets {
	list := make([]members.Member, len(all))
	for i, a := range all {
		list[i] = members.Member{Address: a, Weight: 1, State: members.Ready}
	}
	return Of(list)
}

// Of makes Targets of members whose addresses members.CheckAddresses accepts. One without an ID has its address for one. Of a name that
// has several addresses, each is a member.
func Of(all []members.Member) *Targets {
	return &Targets{
		all: all, found: make([][]members.Member, len(all)), fleet: fleet.New(fleet.Options{}), resolver: resolve, dial: connect,
	}
}

// Table looks once, and returns the table that follows, encoded. It fails where ctx is done, and as long as no name could be looked up.
func (t *Targets) Table(ctx context.Context) (any, error) {
	emit := func(ev fleet.Event) { t.take(time.Now(), ev) }
	t.Look(ctx, emit)
	t.check(ctx, emit)
	if ctx.Err() != nil {
		return nil, ctx.Err() // what was not finished says nothing
	}
	t.take(time.Now(), fleet.Tick{})
	if len(t.table.Members) == 0 {
		return nil, errors.New("none of the members can be looked up")
	}
	return members.Encode(t.table)
}

// Look looks names up, and emits the members where they are others than before. It takes as long as the slowest look-up, at most 2 s for up
// to 256 names.
func (t *Targets) Look(ctx context.Context, emit func(fleet.Event)) {
	var list []members.Member
	var silent error
	for i, found := range each(t.all, func(m members.Member) found { return t.look(ctx, m) }) {
		if found.err != nil {
			silent = found.err // the name keeps its members, and no others depend on it
		} else {
			t.found[i] = found.members
		}
		list = append(list, t.found[i]...)
	}
	if ctx.Err() != nil {
		return
	}
	if !slices.Equal(list, t.listed) || t.silent && silent == nil {
		t.listed = list
		emit(fleet.Listed{Source: Source, Members: slices.Clone(list)})
	}
	if t.silent = silent != nil; t.silent {
		emit(fleet.Silent{Source: Source, Why: silent.Error()})
	}
}

// check checks the members that Look has emitted last. For up to 256 members that takes as long as the slowest check, at most a second; where
// more do not answer at all, it takes a second more for each further 256.
func (t *Targets) check(ctx context.Context, emit func(fleet.Event)) {
	results := each(t.listed, func(m members.Member) error { return t.dialOne(ctx, m.Address) })
	if ctx.Err() != nil {
		return
	}
	for i, err := range results {
		if checks.Ours(err) {
			continue
		}
		c := fleet.Checked{ID: t.listed[i].ID, OK: err == nil}
		if err != nil {
			c.Why = checks.Reason(err)
		}
		emit(c)
	}
}

// take gives the core an event, and keeps its newest table. The epoch tells a table from the one before, so it changes only where
// something else does: a value that is the same is not sent again.
func (t *Targets) take(now time.Time, ev fleet.Event) {
	for _, e := range t.fleet.Step(now, ev) {
		if p, ok := e.(fleet.Publish); ok {
			p.Table.Epoch = 0
			t.table = p.Table
		}
	}
}

type found struct {
	members []members.Member
	err     error
}

// look makes a member of each address that a target has.
func (t *Targets) look(ctx context.Context, target members.Member) found {
	if target.ID == "" {
		target.ID = target.Address
	}
	host, port, err := net.SplitHostPort(target.Address)
	if filepath.IsAbs(target.Address) || err != nil {
		return found{members: []members.Member{target}}
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return found{members: []members.Member{target}}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	all, err := t.resolver(ctx, host)
	if err != nil {
		return found{err: err}
	}
	slices.SortFunc(all, func(a, b netip.Addr) int { return cmp.Compare(a.String(), b.String()) })
	all = slices.Compact(all)
	var f found
	for _, a := range all {
		m := target
		m.Address = net.JoinHostPort(a.Unmap().String(), port)
		switch {
		case target.ID == target.Address:
			m.ID = m.Address
		case len(all) > 1:
			m.ID += "@" + m.Address
		}
		f.members = append(f.members, m)
	}
	return f
}

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(all) == 0 {
		err = errors.New("the name has no address")
	}
	return all, err
}

func (t *Targets) dialOne(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return t.dial(ctx, address)
}

func connect(ctx context.Context, address string) error {
	c, err := checks.Dial(ctx, address)
	if err != nil {
		return err
	}
	return c.Close()
}

// each calls f for all, some at once, and returns what came of each.
func each[A, B any](all []A, f func(A) B) []B {
	results := make([]B, len(all))
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, a := range all {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			results[i] = f(a)
		})
	}
	wg.Wait()
	return results
}
