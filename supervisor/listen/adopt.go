package listen

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// Saved is what, with Set.Files, another process needs to adopt a Set. Its JSON form is kept compatible: fields come, and
// none changes its meaning.
type Saved struct {
	Slots     int            `json:"slots"`
	Admitted  []int          `json:"admitted"`
	Addresses []SavedAddress `json:"addresses"`
	Board     uint64         `json:"board,omitempty"` // ipc.BoardVersion of its board; 0: boardBefore
	// Bare: the Set has no address and no board. A board that comes along is for an earlier version, which insists on one.
	Bare bool `json:"bare,omitempty"`
}

// boardBefore is the version of the boards of those who did not say it.
const boardBefore = 2

// SavedAddress is one address of a Saved.
type SavedAddress struct {
	Network string      `json:"network"`
	Addr    string      `json:"addr"` // with the real port
	Mode    fs.FileMode `json:"mode,omitempty"`
	User    string      `json:"user,omitempty"`
	Group   string      `json:"group,omitempty"`
	Shared  bool        `json:"shared,omitempty"`

	// Where the sockets of a TCP address are bound.
	IP   string `json:"ip,omitempty"`
	Dual bool   `json:"dual,omitempty"` // IPv4 as well
	Port uint16 `json:"port,omitempty"`

	// Order is group.order where that is not each slot's own number; empty: it is. Jumbled: it is not known.
	Order   []int `json:"order,omitempty"`
	Jumbled bool  `json:"jumbled,omitempty"`

	// The file of a Unix-domain address.
	Path string `json:"path,omitempty"`
	Dev  uint64 `json:"dev,omitempty"`
	Ino  uint64 `json:"ino,omitempty"`
}

// Address is the address as Parse reads it.
func (a SavedAddress) Address() Address {
	return Address{Network: a.Network, Addr: a.Addr, Mode: a.Mode, User: a.User, Group: a.Group}
}

// SaveAddress is what a Saved has of an address before it is known where it is bound.
func SaveAddress(a Address) SavedAddress {
	return SavedAddress{Network: a.Network, Addr: a.Addr, Mode: a.Mode, User: a.User, Group: a.Group}
}

// Names of Files, each followed by numbers where there are several.
const (
	fileHot    = "hot"    // the memory of the board
	fileRows   = "rows"   // the rows of the board
	fileSocket = "sock."  // "sock.A.S": of address A and slot S; of a shared one S is 0
	fileTable  = "table." // "table.A": the map of address A's sockets, of kind ebpf
)

// BoardNames are the names in Files of the two files of the board.
func BoardNames() (hot, rows string) { return fileHot, fileRows }

// SocketName is the name in Files of the socket of an address and a slot; of a shared one the slot is 0.
func SocketName(address, slot int) string {
	return fileSocket + strconv.Itoa(address) + "." + strconv.Itoa(slot)
}

// Save tells what the Set is like. Files that were open at the same moment go with it: the two are asked for together, and
// again after each OpenSlot, CloseSlot, SteerTo and fall.
func (s *Set) Save() Saved {
	s.mu.Lock()
	defer s.mu.Unlock()
	saved := Saved{Slots: s.slots, Admitted: append([]int{}, s.admitted...), Board: ipc.BoardVersion, Bare: s.board == nil}
	for _, g := range s.groups {
		a := SaveAddress(g.address)
		a.Shared, a.Dual, a.Port, a.Path, a.Dev, a.Ino = g.shared, g.at.dual, g.at.port, g.file.path, g.file.dev, g.file.ino
		if g.at.ip.IsValid() {
			a.IP = g.at.ip.String()
		}
		if !g.inOrder() {
			a.Order, a.Jumbled = append([]int{}, g.order...), g.jumbled
		}
		saved.Addresses = append(saved.Addresses, a)
	}
	return saved
}

// Files are all that has to stay open for the Set to be adopted, by name. They stay the Set's, which closes them when the
// slot or the Set is closed: who keeps them duplicates them.
func (s *Set) Files() map[string]*os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := map[string]*os.File{}
	if s.closed {
		return files
	}
	if s.board != nil {
		files[fileHot], files[fileRows] = s.board.Files()
	}
	for i, g := range s.groups {
		for slot, f := range g.sockets {
			files[SocketName(i, slot)] = f
		}
	}
	for group, f := range s.tables() {
		files[fileTable+strconv.Itoa(group)] = f
	}
	return files
}

// Changes is a number that grows whenever Files has become other ones.
func (s *Set) Changes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// Spare is a board for a Set that has none, so that an earlier version, which insists on one, can adopt it too: [Board.Files]
// are to be handed on by the names that BoardNames gives. It is the caller's. nil: the Set has one, or none can be had.
func (s *Set) Spare() *ipc.Board {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.board != nil {
		return nil
	}
	board, _ := ipc.NewBoard()
	return board
}

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
	if o.Policy == "" {
		o.Policy = Least
	}
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
		if err := s.adoptGroup(i, a, saved.Slots, files); err != nil {
			return nil, err
		}
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

// adoptGroup takes the sockets of a group, as far as they listen.
func (s *Set) adoptGroup(i int, a SavedAddress, slots int, files map[string]*os.File) error {
	g := s.groups[i]
	if g.shared {
		slots = min(slots, 1)
	}
	var deaf []int
	for slot := range slots {
		f, err := adoptSocket(files, SocketName(i, slot))
		if err == nil && f == nil {
			f, err = placeholder()
			g.jumbled = slots > 1 // it may listen somewhere all the same
			deaf = append(deaf, slot)
		}
		if err != nil {
			return err
		}
		g.sockets = append(g.sockets, f)
		g.order = append(g.order, slot)
	}
	if ordered(a.Order, slots) {
		g.order, g.jumbled = slices.Clone(a.Order), a.Jumbled || g.jumbled
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

// placeholder stands for a socket that is not there.
func placeholder() (*os.File, error) { return newSocket(unix.AF_UNIX, "no listener") }

// adoptBoard takes the board. Where there is none that can be used another is made, which Begin takes unless its kind
// brings one along.
func (s *Set) adoptBoard(saved Saved, files map[string]*os.File) (err error) {
	version := saved.Board
	if version == 0 {
		version = boardBefore
	}
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
	for _, g := range s.groups {
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
