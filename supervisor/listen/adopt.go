package listen

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// adoption is what a Set begins with that another process has left.
type adoption struct {
	tables map[int]*os.File // by group; duplicates
	kinds  []maker
	spare  *ipc.Board // where the board is lost
	mended []Mended
}

func (a *adoption) close() {
	for _, f := range a.tables {
		f.Close()
	}
	if a.spare != nil {
		a.spare.Close()
	}
}

// Prepare makes the Set again that another process has left, or still has, with its workers accepting meanwhile: saved and
// files are what Save and Files have told there. It reads and checks, and changes nothing that others can see, so that
// the other process can go on as if it had not been. The files stay the caller's. Options.Policy and the rest may differ from the
// earlier ones. [Set.Begin] or [Set.Leave] comes next, and nothing else.
//
// The last slots may be missing where they were steered away from: they are closed, then. Other sockets that are missing, or
// that do not listen any more, and a board that is missing, are no error: Begin makes them anew. An error says that saved
// makes no sense, or that this process lacks something.
func Prepare(saved Saved, files map[string]*os.File, o Options) (*Set, error) {
	s, err := prepare(saved, files, o, makers())
	if err != nil {
		return nil, fmt.Errorf("cannot adopt the sockets: %w", err)
	}
	return s, nil
}

func prepare(saved Saved, files map[string]*os.File, o Options, kinds []maker) (_ *Set, err error) {
	if saved.Slots < 0 || saved.Slots > ipc.MaxSlots {
		return nil, fmt.Errorf("%d slots, 0 to %d are possible", saved.Slots, ipc.MaxSlots)
	}
	o.Policy = cmp.Or(o.Policy, Least)
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Set{options: o, adopting: &adoption{tables: map[int]*os.File{}, kinds: kinds}}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	for saved.isClosed(saved.Slots-1, files) {
		saved.Slots--
	}
	for i, a := range saved.Addresses {
		g, err := a.group()
		if err != nil {
			return nil, err
		}
		g.take(o.Given)
		g.shared = a.Shared // as its sockets are
		s.groups = append(s.groups, g)
		if err := g.adopt(func(slot int) string { return SocketName(i, slot) }, saved.Slots, a.Order, a.Jumbled, files); err != nil {
			return nil, err
		}
	}
	if err := s.adoptInner(saved, files); err != nil {
		return nil, err
	}
	if !saved.bare() {
		if err := s.adoptBoard(saved, files); err != nil {
			return nil, err
		}
	}
	for group, g := range s.groups {
		if f := files[fileTable+strconv.Itoa(group)]; f != nil && !g.shared {
			if s.adopting.tables[group], err = duplicate(f); err != nil {
				return nil, err
			}
		}
	}
	s.slots = saved.Slots
	for _, slot := range saved.Admitted {
		if slot >= 0 && slot < s.slots && (len(s.admitted) == 0 || slot > s.admitted[len(s.admitted)-1]) {
			s.admitted = append(s.admitted, slot)
		}
	}
	if len(s.admitted) == 0 {
		s.admitted = first(s.slots)
	}
	return s, nil
}

// Begin has a prepared Set take over: from here on no other process may decide about it. No connection is lost, and what is
// steered by a program is until a new one has taken its place. What could not be adopted is made anew in its place, and
// told: the workers that have what it replaces are to be replaced, since no connection reaches them. Seats are to be taken with
// [Set.Keep].
func (s *Set) Begin() []Mended {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.adopting
	if a == nil || s.closed {
		return nil
	}
	if s.begin(a.kinds, max(s.slots, 1)) != nil {
		panic("listen: a prepared Set has neither a board nor one in reserve")
	}
	if s.board != nil {
		s.board.Stamp()
	}
	s.try(s.takeOver)
	s.adopting = nil
	a.close()
	s.changes++ // its steerer's, most of all
	for slot := range s.slots {
		a.mended = append(a.mended, s.mend(slot)...)
	}
	return a.mended
}

// adopt takes the sockets of a group by their names, as far as they listen. order and jumbled are what was saved of the kernel's order.
func (g *group) adopt(name func(slot int) string, slots int, order []int, jumbled bool, files map[string]*os.File) error {
	if g.shared {
		slots = min(slots, 1)
	}
	var deaf []int
	for slot := range slots {
		f, err := adoptSocket(files, name(slot))
		if err == nil && f == nil {
			f, err = newSocket(unix.AF_UNIX, "no listener")
			g.jumbled = slots > 1 // it may listen somewhere all the same
			deaf = append(deaf, slot)
		}
		if err != nil {
			return err
		}
		g.sockets = append(g.sockets, f)
		g.order = append(g.order, slot)
	}
	if ordered(order, slots) {
		g.order, g.jumbled = slices.Clone(order), jumbled || g.jumbled
	}
	for slot, f := range g.sockets {
		if g.listens(slot) && isDeaf(f) && !slices.Contains(deaf, slot) {
			deaf = append(deaf, slot)
		}
	}
	g.lostAtOnce(deaf)
	return nil
}

// ordered reports whether order, which was read, can be one of so many slots.
func ordered(order []int, slots int) bool {
	seen := map[int]bool{}
	for _, slot := range order {
		if slot < 0 || slot >= slots || seen[slot] {
			return false
		}
		seen[slot] = true
	}
	return len(order) > 0
}

// isClosed says that a slot got no connections any more and that a socket of it is gone: the other process was about to close
// it when it ended.
func (saved Saved) isClosed(slot int, files map[string]*os.File) bool {
	if slot < 1 || slices.Contains(saved.Admitted, slot) {
		return false
	}
	for i, a := range saved.Addresses {
		if !a.Shared && files[SocketName(i, slot)] == nil {
			return true
		}
	}
	return false
}

// bare reports whether a Set was left without a board, which does not matter where there is no address.
func (saved Saved) bare() bool { return saved.Bare && len(saved.Addresses) == 0 }

func (a SavedAddress) group() (*group, error) {
	g := &group{address: a.Address(), shared: a.Shared, file: socketFile{path: a.Path, dev: a.Dev, ino: a.Ino}}
	if a.IP != "" {
		ip, err := netip.ParseAddr(a.IP)
		if err != nil {
			return nil, fmt.Errorf("address %s: %w", a.Addr, err)
		}
		g.at = endpoint{ip: ip, dual: a.Dual, port: a.Port}
	}
	return g, nil
}

// adoptSocket returns nil where the file is missing, or is not a socket.
func adoptSocket(files map[string]*os.File, name string) (*os.File, error) {
	f := files[name]
	if f == nil || ipc.Control(f, isSocket) != nil {
		return nil, nil
	}
	own, err := duplicate(f) // not in the poller
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", name, err)
	}
	return own, nil
}

func isSocket(fd int) error {
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err
}

// adoptBoard takes the board. Where there is none that can be used another is made, which Begin takes unless its kind
// brings one along.
func (s *Set) adoptBoard(saved Saved, files map[string]*os.File) (err error) {
	version := cmp.Or(saved.Board, boardBefore)
	var own [2]*os.File
	why := fmt.Errorf("its layout has version %d, %d is known", version, ipc.BoardVersion)
	if version == ipc.BoardVersion {
		why = nil
		for i, name := range []string{fileHot, fileRows} {
			if files[name] == nil {
				why = fmt.Errorf("file %q is missing", name)
			} else if own[i], err = duplicate(files[name]); err != nil {
				why = err
			}
		}
	}
	if why == nil {
		if s.board, why = ipc.AdoptBoard(own[0], own[1]); why == nil {
			return nil
		}
	} else {
		for _, f := range own {
			f.Close() // of nil: nothing
		}
	}
	s.adopting.mended = append(s.adopting.mended, Mended{Slot: AllSlots, What: "the scoreboard", Why: why.Error(), New: []string{fileHot, fileRows}})
	s.adopting.spare, err = ipc.NewBoard()
	return err
}

// abandon closes what this process has of the sockets, and leaves everything as it is.
func (s *Set) abandon() {
	for g := range s.every() {
		for _, f := range g.sockets {
			f.Close()
		}
	}
	if s.steerer != nil {
		s.steerer.close()
	}
	if s.board != nil {
		s.board.Close()
	}
	s.closeBook()
	if s.adopting != nil {
		s.adopting.close()
	}
	s.closed = true
}

// Rest ends the watcher, as long as another process may be deciding: Watch goes on.
func (s *Set) Rest() { s.endWatch() }

// Leave ends the Set in this process without an end to anything: another one adopts it. The files of Unix-domain sockets
// stay, and so do programs that steer.
func (s *Set) Leave() {
	s.endWatch()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.abandon()
	}
}
