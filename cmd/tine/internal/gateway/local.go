package gateway

import (
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tickets"
)

// locals finds the tickets of members that are workers of this host.
type locals struct {
	book func(app string) *tickets.Book // nil: there is none

	mu    sync.Mutex
	books map[string]*tickets.Book // by app, that were found
}

// owner is this process in books of tickets.
func owner() tickets.Owner { return tickets.OwnerOf(uint64(os.Getpid())) }

// slot is that of a member: the worker in slot 2 of app web has the ID web/2, the type web, and an address that ends in .2.sock. nil: the
// member is another, or its app has no tickets (yet).
func (l *locals) slot(m *members.Member) *tickets.Slot {
	digits, ok := strings.CutPrefix(m.ID, m.Type+"/")
	n, err := strconv.Atoi(digits)
	if !ok || m.Type == "" || err != nil || !strings.HasPrefix(m.Address, "/") || !strings.HasSuffix(m.Address, "."+digits+".sock") {
		return nil
	}
	b := l.book(m.Type)
	if b == nil {
		return nil
	}
	l.mu.Lock()
	if l.books[m.Type] != b {
		if l.books == nil {
			l.books = map[string]*tickets.Book{}
		}
		l.books[m.Type] = b
	}
	l.mu.Unlock()
	return b.Slot(n)
}

// watch calls freed now, and whenever another process may have freed a place, until ctx ends.
func (l *locals) watch(ctx context.Context, freed func()) {
	l.mu.Lock()
	books := slices.Collect(maps.Values(l.books))
	l.mu.Unlock()
	var all sync.WaitGroup
	for _, b := range books {
		all.Go(func() { _ = b.Watch(ctx, freed) }) // ctx has ended it, or the system has no futex: the next Refresh finds the place
	}
	all.Wait()
}
