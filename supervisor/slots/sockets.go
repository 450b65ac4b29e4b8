package slots

import (
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/listen"
)

// Sockets are the listening sockets of an app, and of the app that replaces it while both run. The caller has one goroutine call all
// methods, but for those of the Set. Where both have a method, the one here is to be called: it does what the Set's does, and more.
type Sockets struct {
	*listen.Set

	users   int
	seats   map[int][ipc.Seats]*Seat // by slot
	listens bool
	watched chan struct{} // closed before the watcher is ended; nil: there is none
	pace    map[int]*pace // of slots that could not be made anew
	lookout lookout
}

// New are sockets without a user. The Set is theirs: the last Release closes it.
func New(set *listen.Set) *Sockets {
	return &Sockets{Set: set, seats: map[int][ipc.Seats]*Seat{}, listens: len(set.Addresses()) > 0}
}

// Use counts one more user.
func (s *Sockets) Use() { s.users++ }

// Release ends the use of one user. The last one's ends the watcher, the seats and the Set.
func (s *Sockets) Release() {
	if s.users--; s.users == 0 {
		s.endNotices()
		s.leaveSeats()
		s.Close()
	}
}

// Shared reports whether there are several users.
func (s *Sockets) Shared() bool { return s.users > 1 }

// Used reports whether there is a user.
func (s *Sockets) Used() bool { return s.users > 0 }

// Listens reports whether there are addresses.
func (s *Sockets) Listens() bool { return s.listens }

// Leave ends them in this process only, as another master has adopted them: see [listen.Set.Leave].
func (s *Sockets) Leave() {
	s.endNotices()
	s.leaveSeats()
	s.Set.Leave()
}

// Watch has what is seen at the sockets posted, until Rest, Release or Leave, and the limits checked every pulse while there is load.
// post is called in the watcher's goroutine. It may wait, but not longer than until quit is closed. The error is that the system has
// no means to watch: the sockets serve unwatched.
func (s *Sockets) Watch(pulse time.Duration, post func(n listen.Notice, quit <-chan struct{})) error {
	quit := make(chan struct{})
	err := s.Set.Watch(listen.Watch{Pulse: pulse, Notify: func(n listen.Notice) { post(n, quit) }})
	if err == nil {
		s.watched = quit
	}
	return err
}

// Watched reports whether there is a watcher.
func (s *Sockets) Watched() bool { return s.watched != nil }

// Rest ends the watcher, as long as another process may be deciding: Watch goes on.
func (s *Sockets) Rest() {
	s.endNotices()
	s.Set.Rest()
}

// endNotices has the watcher wait no more: its end is waited for next.
func (s *Sockets) endNotices() {
	if s.watched != nil {
		close(s.watched)
		s.watched = nil
	}
}
