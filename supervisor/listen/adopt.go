package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// Saved is what, with Set.Files, another process needs to adopt a Set. Its JSON form is kept compatible: fields come, and
// none changes its meaning.
type Saved struct {
	Slots     int            `json:"slots"`
	Admitted  []int          `json:"admitted"`
	Addresses []SavedAddress `json:"addresses"`
	// Bare: the Set has no address and no board. A board that comes along is for an earlier version, which insists on one.
	Bare bool `json:"bare,omitempty"`
}

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
	saved := Saved{Slots: s.slots, Admitted: append([]int{}, s.admitted...), Bare: s.board == nil}
	for _, g := range s.groups {
		a := SaveAddress(g.address)
		a.Shared, a.Dual, a.Port, a.Path, a.Dev, a.Ino = g.shared, g.at.dual, g.at.port, g.file.path, g.file.dev, g.file.ino
		if g.at.ip.IsValid() {
			a.IP = g.at.ip.String()
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
	tables map[int]*os.File // by group
}

// Adopt makes the Set again that another process has left, with its workers accepting meanwhile: saved and files are what
// Save and Files have told there. No connection is lost, and what is steered by a program is until a new one has taken
// its place. The files stay the caller's. Options.Policy and the rest may differ from the earlier ones.
//
// The last slots may be missing where they were steered away from: they are closed, then.
//
// An error says what does not fit; nothing is changed then. Seats are to be taken with [Set.Keep].
func Adopt(saved Saved, files map[string]*os.File, o Options) (*Set, error) {
	s, err := adopt(saved, files, o, makers())
	if err != nil {
		return nil, fmt.Errorf("cannot adopt the sockets: %w", err)
	}
	return s, nil
}

func adopt(saved Saved, files map[string]*os.File, o Options, kinds []maker) (_ *Set, err error) {
	if saved.Slots < 0 || saved.Slots > ipc.MaxSlots {
		return nil, fmt.Errorf("%d slots, 0 to %d are possible", saved.Slots, ipc.MaxSlots)
	}
	if o.Policy == "" {
		o.Policy = Least
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Set{options: o, adopting: &adoption{tables: map[int]*os.File{}}}
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
		sockets := saved.Slots
		if g.shared {
			sockets = min(sockets, 1)
		}
		for slot := range sockets {
			f, err := adoptSocket(files, SocketName(i, slot))
			if err != nil {
				return nil, err
			}
			g.sockets = append(g.sockets, f)
		}
	}
	if !saved.bare() {
		if err := s.adoptBoard(files); err != nil {
			return nil, err
		}
	}
	for name, f := range files {
		if n, ok := strings.CutPrefix(name, fileTable); ok {
			group, err := strconv.Atoi(n)
			if err != nil || group < 0 || group >= len(s.groups) || s.groups[group].shared {
				return nil, fmt.Errorf("file %q is of no address", name)
			}
			s.adopting.tables[group] = f
		}
	}
	if err := s.begin(kinds, max(saved.Slots, 1)); err != nil {
		return nil, err
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
	s.try(s.takeOver)
	s.adopting = nil
	return s, nil
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

// bare says whether a Set was left without a board, which is no loss where there is no address.
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

func adoptSocket(files map[string]*os.File, name string) (*os.File, error) {
	f := files[name]
	if f == nil {
		return nil, fmt.Errorf("file %q is missing", name)
	}
	own, err := duplicate(f) // not in the poller
	if err != nil {
		return nil, err
	}
	err = control(own, func(fd int) error {
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err == nil && listens == 0 {
			err = errors.New("it does not listen")
		}
		return err
	})
	if err != nil {
		own.Close()
		return nil, fmt.Errorf("file %q is no listening socket: %w", name, err)
	}
	return own, nil
}

func (s *Set) adoptBoard(files map[string]*os.File) error {
	var own [2]*os.File
	for i, name := range []string{fileHot, fileRows} {
		f := files[name]
		err := fmt.Errorf("file %q is missing", name)
		if f != nil {
			own[i], err = duplicate(f)
		}
		if err != nil {
			if own[0] != nil {
				own[0].Close()
			}
			return err
		}
	}
	board, err := ipc.AdoptBoard(own[0], own[1])
	if err != nil {
		return err
	}
	s.board = board
	return nil
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
