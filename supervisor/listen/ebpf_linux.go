package listen

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/listen/bpf"
)

// staleAfterAccept is how long a connection may wait for accept before its slot is avoided: longer than a busy worker takes to come
// to its accept, shorter than what a client notices.
const staleAfterAccept = 50 * time.Millisecond

// newHotMap makes the hot memory of a board that an eBPF program can read: an array map of one entry that can be mapped. The file
// is the caller's. It needs CAP_BPF and Linux 5.8.
func newHotMap() (*os.File, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name:       "tine_board",
		Type:       ebpf.Array,
		KeySize:    4,
		ValueSize:  ipc.BoardBytes,
		MaxEntries: 1,
		Flags:      unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, refusal("cannot make the map of the board", err)
	}
	defer m.Close()
	fd, err := ipc.DuplicateFD(m.FD(), 3)
	if err != nil {
		return nil, fmt.Errorf("cannot duplicate the map of the board: %w", err)
	}
	return os.NewFile(uintptr(fd), "map of the board"), nil
}

// refusal explains why the kernel refuses a map or a program. The library's advice is for programmers.
func refusal(what string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: %w (needs CAP_BPF; before Linux 5.11 a larger RLIMIT_MEMLOCK too)", what, unix.EPERM)
	case errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("%s: %w (before Linux 5.11 it needs a larger RLIMIT_MEMLOCK)", what, unix.ENOMEM)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%s: %w (the kernel is built without eBPF, or a filter forbids bpf)", what, unix.ENOSYS)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// reuseEBPF steers by an eBPF program on each group that reads the board for each connection.
type reuseEBPF struct {
	options Options
	board   *ipc.Board
	hot     *os.File
	migrate bool // the kernel knows BPF_SK_REUSEPORT_SELECT_OR_MIGRATE
	groups  map[int]*groupEBPF
	spare   *groupEBPF        // for the next group that is joined; may be nil
	joined  [ipc.MaxSlots]int // groups that the slot has joined

	inherited int
}

// groupEBPF is the sockets of one group by slot, and the program that picks among them.
type groupEBPF struct {
	sockets *ebpf.Map
	program *ebpf.Program
	class   int
	member  *os.File // a socket of the group
	of      int      // the slot of member

	inherited int      // sockets of slots below are in the map already
	table     *os.File // of the map, for the next master; nil: not asked for yet
}

// newEBPF makes the steerer of kind ebpf. hot is of newHotMap, and stays the caller's, as board does, which is made on it. It
// tells now if the kernel refuses the program for so many slots.
func newEBPF(hot *os.File, board *ipc.Board, slots int, o Options) (steerer, error) {
	e, err := prepareEBPF(hot, board, slots, o)
	if err != nil {
		return nil, err
	}
	for slot := range ipc.MaxSlots {
		board.Line(slot).Flags.Store(ipc.FlagClosed)
	}
	return e, nil
}

// adoptEBPF makes one that goes on where an earlier master's programs steer by the same board. Each is in use until its
// group has got the new one. It fails if the board's memory is not a map.
//
// A socket can be in one map only, as long as that exists, and a program that is attached keeps its map: so the earlier
// maps are used on, with what is in them.
func adoptEBPF(a *adoption, board *ipc.Board, slots int, o Options) (_ steerer, err error) {
	hot, _ := board.Files()
	e, err := prepareEBPF(hot, board, slots, o)
	if err != nil {
		return nil, err
	}
	for group, file := range a.tables {
		g := &groupEBPF{inherited: slots}
		if g.sockets, err = mapOf(file); err == nil {
			if err = e.load(g, bpf.Class(slots)); err != nil {
				g.close()
			}
		}
		if err != nil {
			e.close()
			return nil, err
		}
		e.groups[group] = g
		g.keepTable() // there is a next master to think of, as there was one before
	}
	if len(e.groups) > 0 { // else the earlier master could not say which maps there were
		e.spare.close()
		e.spare = nil
	}
	e.inherited = slots
	return e, nil
}

// mapOf returns the map of sockets that file is of. It duplicates file, which stays the caller's.
func mapOf(file *os.File) (m *ebpf.Map, err error) {
	err = ipc.Control(file, func(fd int) error {
		own, err := ipc.DuplicateFD(fd, 3)
		if err == nil {
			m, err = ebpf.NewMapFromFD(own)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot use the earlier map of sockets: %w", err)
	}
	return m, nil
}

func prepareEBPF(hot *os.File, board *ipc.Board, slots int, o Options) (*reuseEBPF, error) {
	o.Policy = cmp.Or(o.Policy, Least)
	if slots > ipc.MaxSlots {
		return nil, fmt.Errorf("cannot steer %d slots by ebpf: it has %d", slots, ipc.MaxSlots)
	}
	own, err := duplicate(hot)
	if err != nil {
		return nil, err
	}
	e := &reuseEBPF{options: o, board: board, hot: own, migrate: true, groups: map[int]*groupEBPF{}}
	g, err := e.newGroup(slots)
	if err != nil && errors.Is(err, unix.EINVAL) {
		e.migrate = false // before Linux 5.14
		g, err = e.newGroup(slots)
	}
	if err != nil {
		own.Close()
		return nil, err
	}
	e.spare = g
	board.Header().Full.Store(uint64(max(o.Full, 0)))
	board.Header().StaleAfter.Store(uint64(staleAfterAccept))
	return e, nil
}

func (e *reuseEBPF) newGroup(slots int) (*groupEBPF, error) {
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{
		Name:       "tine_sockets",
		Type:       ebpf.ReusePortSockArray,
		KeySize:    4,
		ValueSize:  8,
		MaxEntries: ipc.MaxSlots,
	})
	if err != nil {
		return nil, refusal("cannot make the map of sockets", err)
	}
	g := &groupEBPF{sockets: sockets}
	if err := e.load(g, bpf.Class(slots)); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// load gives the group the program of a class, which is not attached.
func (e *reuseEBPF) load(g *groupEBPF, class int) error {
	p := bpf.Reuse{
		Policy:  e.options.Policy,
		Class:   class,
		Refuse:  e.options.Refuse,
		Migrate: e.migrate,
		Sockets: g.sockets.FD(),
	}
	spec := &ebpf.ProgramSpec{Name: "tine_steer", Type: ebpf.SkReuseport, AttachType: ebpf.AttachSkReuseportSelect}
	if e.migrate {
		spec.AttachType = ebpf.AttachSkReuseportSelectOrMigrate
	}
	return ipc.Control(e.hot, func(fd int) error {
		p.Hot = fd
		spec.Instructions = p.Assemble()
		loaded, err := ebpf.NewProgram(spec)
		if err != nil {
			return refusal(fmt.Sprintf("cannot load the steering program for %d slots", class), err)
		}
		if g.program != nil {
			g.program.Close()
		}
		g.program, g.class = loaded, class
		return nil
	})
}

func (g *groupEBPF) attach() error {
	return ipc.Control(g.member, func(fd int) error {
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF, g.program.FD())
		if err != nil {
			return fmt.Errorf("cannot attach the steering program: %w", err)
		}
		return nil
	})
}

func (g *groupEBPF) close() {
	if g.program != nil {
		g.program.Close()
	}
	g.sockets.Close()
	if g.table != nil {
		g.table.Close()
	}
}

// tables are the maps of sockets by group. A map of which there is no descriptor is left out: it cannot be adopted.
func (e *reuseEBPF) tables() map[int]*os.File {
	files := map[int]*os.File{}
	for i, g := range e.groups {
		if g.keepTable(); g.table != nil {
			files[i] = g.table
		}
	}
	return files
}

// keepTable makes the file of the map, if there is none yet. Where it cannot, the next call tries again.
func (g *groupEBPF) keepTable() {
	if g.table != nil {
		return
	}
	if fd, err := ipc.DuplicateFD(g.sockets.FD(), 3); err == nil {
		g.table = os.NewFile(uintptr(fd), "map of sockets")
	}
}

func (e *reuseEBPF) kind() Kind { return KindEBPF }

func (e *reuseEBPF) join(group, slot int, socket *os.File) error {
	if slot < 0 || slot >= ipc.MaxSlots {
		return fmt.Errorf("cannot steer slot %d by ebpf: it has %d", slot, ipc.MaxSlots)
	}
	g := e.groups[group]
	if g == nil {
		g, e.spare = e.spare, nil
	}
	if g == nil {
		var err error
		if g, err = e.newGroup(slot + 1); err != nil {
			return err
		}
	}
	e.groups[group] = g
	grown := slot >= g.class
	if grown {
		if err := e.load(g, bpf.Class(slot+1)); err != nil {
			return err
		}
	}
	founds := g.member == nil
	if founds {
		g.member, g.of = socket, slot
	}
	if e.joined[slot] == 0 && slot >= e.inherited {
		settleLine(e.board.Line(slot))
	}
	if slot >= g.inherited || !g.has(slot, socket) {
		if err := g.put(slot, socket); err != nil {
			return err
		}
	}
	e.joined[slot]++
	if founds || grown {
		return g.attach()
	}
	return nil
}

// renew puts the slot's other socket into the map. The kernel has taken out the one that it replaces, unless a
// process holds that on, and it listens: as a worker does whose socket was not handed on.
func (e *reuseEBPF) renew(group, slot int, socket *os.File) error {
	g := e.groups[group]
	if g == nil || e.joined[slot] == 0 {
		return e.join(group, slot, socket)
	}
	if !g.has(slot, socket) {
		if err := g.put(slot, socket); err != nil {
			return err
		}
	}
	g.member, g.of = socket, slot
	return g.attach() // the group may be another
}

// has reports whether the map has this socket of the slot: one that was shut down is not in it any more, whatever became of it.
func (g *groupEBPF) has(slot int, socket *os.File) bool {
	var got, want uint64
	if g.sockets.Lookup(uint32(slot), &got) != nil {
		return false
	}
	err := ipc.Control(socket, func(fd int) (err error) {
		want, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		return err
	})
	return err == nil && got == want
}

func (g *groupEBPF) put(slot int, socket *os.File) error {
	err := ipc.Control(socket, func(fd int) error {
		return g.sockets.Put(uint32(slot), uint64(fd))
	})
	if err != nil {
		return fmt.Errorf("cannot add the socket of slot %d to the steering: %w", slot, err)
	}
	return nil
}

// settleLine clears what the line of a slot without workers has left: connections that were reset with the queue or were moved.
func settleLine(l *ipc.Line) {
	for seat := range ipc.Seats {
		giveBack(l, seat)
	}
	waiting := l.Assigned.Load() - l.Accepted[0].Load() - l.Accepted[1].Load()
	l.Accepted[0].Add(waiting)
	l.Released[0].Add(waiting * ipc.Weight)
}

func (e *reuseEBPF) leave(group, slot int) {
	g := e.groups[group]
	if g == nil || slot < 0 || slot >= ipc.MaxSlots || e.joined[slot] == 0 {
		return
	}
	if e.joined[slot]--; e.joined[slot] == 0 {
		e.inherited = min(e.inherited, slot)
		e.board.Line(slot).Flags.Store(ipc.FlagClosed)
	}
	// It is not there if the kernel noticed an end of the socket first.
	_ = g.sockets.Delete(uint32(slot))
	g.inherited = min(g.inherited, slot)
	if slot == g.of {
		g.member = nil
	}
}

// steer opens slots before it closes others, so that there is always one.
func (e *reuseEBPF) steer(open []int, _ []uint8) error {
	opened := [ipc.MaxSlots]bool{}
	for _, slot := range open {
		if slot < 0 || slot >= ipc.MaxSlots {
			return fmt.Errorf("cannot steer to slot %d by ebpf: it has %d", slot, ipc.MaxSlots)
		}
		opened[slot] = true
		e.board.Line(slot).Flags.Store(0)
	}
	if e.options.Policy != Least && e.options.Policy != RoundRobin {
		for i, slot := range bpf.Table(e.options.Policy, open, e.options.CPU) {
			if e.board.TableAt(i) != slot {
				e.board.SetTable(i, slot)
			}
		}
	}
	for slot := range ipc.MaxSlots {
		if l := e.board.Line(slot); !opened[slot] && l.Flags.Load() != ipc.FlagClosed {
			l.Flags.Store(ipc.FlagClosed)
		}
	}
	return nil
}

func (e *reuseEBPF) close() {
	for _, g := range e.groups {
		g.close()
	}
	if e.spare != nil {
		e.spare.close()
	}
	e.groups, e.spare = nil, nil
	e.hot.Close()
}
