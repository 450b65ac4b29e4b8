package listen

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// A worker shares its slot's sockets, and whatever it does to one it does to all who share it: shutdown(2), which some programs
// take for the way to wake an accept, ends the listening for good. The socket's queue is lost with that, and its worker
// does not accept any more. So the slot gets another socket and its worker a successor, and no other slot notices.

// ErrDeaf is that a socket listens no more, and could not be mended.
var ErrDeaf = errors.New("a socket does not listen any more")

// AllSlots in Mended.Slot: it is of all slots.
const AllSlots = -1

// Mended tells of one thing that was broken: it was made anew, or could not be.
type Mended struct {
	Slot int    // whose workers are to be replaced; AllSlots
	What string // "the socket of 127.0.0.1:80", "the scoreboard", "the inner socket of slot 2"
	Why  string
	Err  error    // why it could not be made anew: it is tried again by the next Mend
	New  []string // names in Files that have other files now
	// Inner: it is an inner socket, which a worker gets in the place of the one that it has: see [Set.ShareInner].
	Inner bool
}

// Mend opens the sockets of a slot anew that do not listen any more. It tells what it has done or could not do; nothing, if
// all listen. The files of [Set.Files] are others after it.
func (s *Set) Mend(slot int) []Mended {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || slot < 0 || slot >= s.slots {
		return nil
	}
	return s.mend(slot)
}

func (s *Set) mend(slot int) (all []Mended) {
	for i, g := range s.groups {
		if g.shared && slot > 0 {
			continue
		}
		if isDeaf(g.sockets[slot]) {
			g.hear()
		}
		if g.listens(slot) {
			continue
		}
		m := Mended{Slot: slot, What: "the socket of " + g.address.String(), Why: "it does not listen any more: has its worker shut it down?"}
		if g.shared {
			m.Slot = AllSlots
		}
		if m.Err = s.reopen(i, slot); m.Err == nil {
			m.New = []string{SocketName(i, slot)}
		}
		all = append(all, m)
	}
	all = append(all, s.mendInner(slot)...)
	if len(all) > 0 {
		s.try(s.steer)
		s.tell()
	}
	return all
}

// reopen gives a slot of a group another socket.
func (s *Set) reopen(group, slot int) error {
	g := s.groups[group]
	f, err := g.relisten(func() error {
		if guard, ok := s.steerer.(guard); ok {
			return guard.keepOut(group)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot listen on %s again: %w", g.address, err)
	}
	g.sockets[slot].Close()
	g.sockets[slot] = f
	g.joined(slot)
	s.changes++
	if !g.shared {
		s.try(func(st steerer) error { return st.renew(group, slot, f) })
	}
	return nil
}

// relisten opens a socket beside those of the group that listen, or claims the address again.
func (g *group) relisten(keepOut func() error) (f *os.File, err error) {
	switch {
	case g.address.Network == "unix":
		g.file.remove() // no process listens on it
		var file socketFile
		if f, file, err = listenUnix(g.address); err == nil {
			g.file = file
		}
		return f, err
	case len(g.order) > 0:
		return g.join(keepOut)
	default:
		f, _, err = claimTCP(g.at, !g.shared)
		return f, err
	}
}

// join opens a socket beside those that listen. Of these a worker may have taken what lets others join.
func (g *group) join(keepOut func() error) (*os.File, error) {
	for _, slot := range g.order {
		_ = ipc.Control(g.sockets[slot], func(fd int) error { return setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true) })
	}
	return joinTCP(g.at, keepOut)
}

// hear takes off all sockets that listen no more, and says whether there are any. It comes before whatever else changes the order:
// of those that were shut down meanwhile it is not known which was the first.
func (g *group) hear() (lost bool) {
	var deaf []int
	for slot, f := range g.sockets {
		if g.listens(slot) && isDeaf(f) {
			deaf = append(deaf, slot)
		}
	}
	g.lostAtOnce(deaf)
	return len(deaf) > 0
}

// hear does so in all groups, where a socket is about to be added.
func (s *Set) hear() {
	lost := false
	for g := range s.every() {
		lost = g.hear() || lost
	}
	if lost {
		s.try(s.steer)
	}
}

// lostAtOnce is lost for several slots, in an order that is not known.
func (g *group) lostAtOnce(slots []int) {
	at := func(slot int) int { return slices.Index(g.order, slot) }
	slices.SortFunc(slots, func(a, b int) int { return at(b) - at(a) })
	n := len(g.order)
	for i, slot := range slots { // the last first: the one at the end moves no other
		if len(slots) > 1 && at(slot) != n-1-i {
			g.jumbled = true
		}
	}
	for _, slot := range slots {
		g.lost(slot)
	}
	if len(g.order) == 0 {
		g.jumbled = false
	}
}

// freshen takes back what a worker may have done to a socket that the next one is about to get: a shorter queue, a mode in which
// Accept waits for ever, a filter that lets no connection in.
func freshen(fd int) error {
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 0 || hungUp(fd) {
		return ErrDeaf
	}
	_ = unix.SetNonblock(fd, true)
	_ = unix.Listen(fd, backlog())
	dropFilter(fd)
	return nil
}

// isDeaf reports whether a socket takes no connection any more. It is asked of sockets that have listened.
func isDeaf(f *os.File) bool {
	deaf := false
	err := ipc.Control(f, func(fd int) error {
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		deaf = err == nil && listens == 0 || hungUp(fd)
		return nil
	})
	return err == nil && deaf
}

// hungUp reports whether one side of a socket was shut down: a Unix-domain one goes on to say that it listens.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: pollHangup}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|pollHangup) != 0
}
