package listen

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
)

// Beside its public sockets a slot may have an inner one: a Unix-domain socket that only the gateways of this master connect to, so that
// they choose the worker of each request. It is the slot's as the public ones are: its queue outlives the worker, is kept for the next
// master, and ends with the slot. The kernel steers nothing there.
//
// A slot whose inner socket cannot be opened has one that does not listen in its place, and is mended as any slot is: the public sockets
// serve meanwhile.

// innerMode is that of the file of an inner socket.
const innerMode = 0o600

// innerSuffix follows the number of the slot in a path.
const innerSuffix = ".sock"

// InnerPath is the path of the inner socket of a slot. prefix is what SetInner was given.
func InnerPath(prefix string, slot int) string { return prefix + strconv.Itoa(slot) + innerSuffix }

// FitsInner reports whether the paths of all slots are short enough for a socket.
func FitsInner(prefix string) bool { return len(InnerPath(prefix, ipc.MaxSlots-1)) <= maxPath }

// SavedInner is what a Saved has of inner sockets.
type SavedInner struct {
	Prefix string      `json:"prefix"`
	Book   uint64      `json:"book,omitempty"`  // tickets.Version of the book of tickets; 0: there is none
	Names  []SavedName `json:"names,omitempty"` // by slot
}

// SavedName is the file of a socket.
type SavedName struct {
	Dev uint64 `json:"dev,omitempty"`
	Ino uint64 `json:"ino,omitempty"`
}

// every yields the groups of all addresses, and that of the inner sockets.
func (s *Set) every() iter.Seq[*group] {
	return func(yield func(*group) bool) {
		for _, g := range s.groups {
			if !yield(g) {
				return
			}
		}
		if s.inner != nil {
			yield(s.inner)
		}
	}
}

// SetInner gives each slot an inner socket at [InnerPath], also those that are opened later; "": the inner sockets are closed. With
// another prefix than before the files are renamed, and connections that wait go on waiting. No other process makes sockets with the
// prefix. The error is of a prefix that is too long, or that this process lacks descriptors: then nothing has changed. A socket that
// cannot be opened, as its folder is not there, is tried again by [Set.Mend].
func (s *Set) SetInner(prefix string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.inner
	switch {
	case s.closed:
		return fmt.Errorf("cannot make inner sockets: %w", errClosed)
	case prefix == "" && g == nil || g != nil && g.address.Addr == prefix:
		return nil
	case prefix == "":
		for slot := s.slots - 1; slot >= 0; slot-- {
			g.closeInner(slot)
		}
		s.inner = nil
		s.closeBook()
	case !FitsInner(prefix):
		return fmt.Errorf("cannot make inner sockets at %s: a path may have %d bytes", InnerPath(prefix, 0), maxPath)
	case g != nil:
		g.address.Addr = prefix
		for slot := range g.names {
			g.renameInner(slot)
		}
	default:
		removeStale(prefix)
		g = &group{address: Address{Network: "unix", Addr: prefix, Mode: innerMode}}
		for slot := range s.slots {
			if err := g.openInner(slot); err != nil {
				for slot := len(g.sockets) - 1; slot >= 0; slot-- {
					g.closeInner(slot)
				}
				return fmt.Errorf("cannot make inner sockets: %w", err)
			}
		}
		s.inner = g
		s.openBook()
	}
	s.changes++
	s.tell()
	return nil
}

// Inner is the prefix of the inner sockets; "": there are none.
func (s *Set) Inner() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inner == nil || s.closed {
		return ""
	}
	return s.inner.address.Addr
}

// ShareInner is Share for the inner socket of a slot, which it returns with its path. Without inner sockets it returns nil, and no error.
func (s *Set) ShareInner(slot int) (path string, f *os.File, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.inner
	if g == nil {
		return "", nil, nil
	}
	err = errClosed
	if slot >= 0 && slot < len(g.sockets) {
		f, err = shareOne(g.sockets[slot])
	}
	if err != nil {
		return "", nil, fmt.Errorf("cannot share the inner socket of slot %d: %w", slot, err)
	}
	return InnerPath(g.address.Addr, slot), f, nil
}

// removeStale removes the files of all slots that a master has left which was killed with its keeper.
func removeStale(prefix string) {
	files, _ := os.ReadDir(filepath.Dir(prefix))
	for _, f := range files {
		rest, is := strings.CutPrefix(f.Name(), filepath.Base(prefix))
		slot, err := strconv.Atoi(strings.TrimSuffix(rest, innerSuffix))
		if path := InnerPath(prefix, slot); is && err == nil && f.Name() == filepath.Base(path) && f.Type() == os.ModeSocket {
			os.Remove(path)
		}
	}
}

// openInner adds the inner socket of the next slot, or one in its place that does not listen. The error is that there is no descriptor.
func (g *group) openInner(slot int) error {
	f, name, err := g.listenInner(slot)
	listens := err == nil
	if !listens {
		if f, err = newSocket(unix.AF_UNIX, "no listener"); err != nil {
			return err
		}
	}
	g.sockets, g.names = append(g.sockets, f), append(g.names, name)
	if listens {
		g.joined(slot)
	}
	return nil
}

// listenInner opens an inner socket. What has the path is of a master before this one, or of a worker that has outlived it: of this
// name there is no other master.
func (g *group) listenInner(slot int) (*os.File, socketFile, error) {
	a := g.address
	a.Addr = InnerPath(g.address.Addr, slot)
	if info, err := os.Lstat(a.Addr); err == nil && info.Mode().Type() == os.ModeSocket {
		os.Remove(a.Addr)
	}
	return listenUnix(a)
}

// renameInner gives the inner socket of a slot the path that it has now. One that cannot have it is made anew by mend.
func (g *group) renameInner(slot int) {
	old := g.names[slot]
	if old.path == "" || identify(old.path) != old {
		g.lost(slot)
		return
	}
	path := InnerPath(g.address.Addr, slot)
	if os.Rename(old.path, path) != nil {
		g.lost(slot)
		return
	}
	g.names[slot].path = path
}

// closeInner closes the inner socket of the last slot. Its file goes first, as in closeSlot.
func (g *group) closeInner(slot int) {
	g.names[slot].remove()
	g.sockets[slot].Close()
	g.sockets, g.names = g.sockets[:slot], g.names[:slot]
	g.lost(slot)
}

// mendInner is mend for the inner socket of a slot.
func (s *Set) mendInner(slot int) []Mended {
	g := s.inner
	if g == nil || slot >= len(g.sockets) {
		return nil
	}
	if isDeaf(g.sockets[slot]) {
		g.hear()
	}
	if g.listens(slot) {
		return nil
	}
	m := Mended{Slot: slot, Inner: true, What: fmt.Sprintf("the inner socket of slot %d", slot), Why: "it does not listen any more"}
	if !isDeaf(g.sockets[slot]) {
		m.Why = "its file was removed"
	}
	g.names[slot].remove()
	f, name, err := g.listenInner(slot)
	if err != nil {
		m.Err = fmt.Errorf("cannot listen on %s again: %w", InnerPath(g.address.Addr, slot), err)
		return []Mended{m}
	}
	g.sockets[slot].Close()
	g.sockets[slot], g.names[slot] = f, name
	g.joined(slot)
	s.changes++
	m.New = []string{InnerName(slot)}
	return []Mended{m}
}

// LookInner returns the slots whose inner socket listens and cannot be found by its path any more, as a program that tidies up has removed
// it. It may wait for a disk, and holds no lock meanwhile.
func (s *Set) LookInner() (lost []int) {
	s.mu.Lock()
	var names []socketFile
	if s.inner != nil && !s.closed {
		names = slices.Clone(s.inner.names)
		for slot := range names {
			if !s.inner.listens(slot) {
				names[slot] = socketFile{} // it is mended in any case
			}
		}
	}
	s.mu.Unlock()
	for slot, name := range names {
		if name.path != "" && identify(name.path) != name {
			lost = append(lost, slot)
		}
	}
	return lost
}

// LoseInner gives up the inner socket of a slot that LookInner has returned: the next Mend makes another.
func (s *Set) LoseInner(slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.inner; g != nil && !s.closed && slot < len(g.sockets) {
		g.lost(slot)
		s.tell()
	}
}

// saveInner is called with mu held.
func (s *Set) saveInner() *SavedInner {
	if s.inner == nil {
		return nil
	}
	saved := &SavedInner{Prefix: s.inner.address.Addr}
	if s.book != nil {
		saved.Book = tickets.Version
	}
	for _, name := range s.inner.names {
		saved.Names = append(saved.Names, SavedName{name.dev, name.ino})
	}
	return saved
}

// adoptInner takes the inner sockets of a Set that is prepared. Those that are missing are made anew by Begin.
func (s *Set) adoptInner(saved Saved, files map[string]*os.File) error {
	in := saved.Inner
	if in == nil || !FitsInner(in.Prefix) {
		return nil
	}
	g := &group{address: Address{Network: "unix", Addr: in.Prefix, Mode: innerMode}}
	for slot := range saved.Slots {
		var name socketFile
		if slot < len(in.Names) {
			name = socketFile{path: InnerPath(in.Prefix, slot), dev: in.Names[slot].Dev, ino: in.Names[slot].Ino}
		}
		g.names = append(g.names, name)
	}
	s.inner = g
	if f := files[fileBook]; f != nil && in.Book == tickets.Version {
		if own, err := duplicate(f); err == nil {
			s.book, _ = tickets.Adopt(own)
		}
	}
	if s.book == nil {
		s.openBook()
	}
	return g.adopt(InnerName, saved.Slots, nil, false, files)
}
