package listen

import (
	"io/fs"
	"os"
	"strconv"

	"github.com/tinehq/tine/ipc"
)

// Saved is what, with Set.Files, another process needs to adopt a Set. Its JSON form is kept compatible: fields come, and
// none changes its meaning.
type Saved struct {
	Slots     int            `json:"slots"`
	Admitted  []int          `json:"admitted"`
	Addresses []SavedAddress `json:"addresses"`
	Board     uint64         `json:"board,omitempty"` // ipc.BoardVersion of its board; 0: boardBefore
	// Inner is what there is of inner sockets; nil: there are none. A version that knows none of them closes them.
	Inner *SavedInner `json:"inner,omitempty"`
	// Bare: the Set has no address and no board. A board that comes along is for an earlier version, which insists on one.
	Bare bool `json:"bare,omitempty"`
}

// boardBefore is the version of the board of a Saved that does not name one.
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

// Address returns the address as Parse reads it.
func (a SavedAddress) Address() Address {
	return Address{Network: a.Network, Addr: a.Addr, Mode: a.Mode, User: a.User, Group: a.Group}
}

// SaveAddress returns what a Saved has of an address before it is known where it is bound.
func SaveAddress(a Address) SavedAddress {
	return SavedAddress{Network: a.Network, Addr: a.Addr, Mode: a.Mode, User: a.User, Group: a.Group}
}

// Names of Files, each followed by numbers where there are several.
const (
	fileHot    = "hot"     // the memory of the board
	fileRows   = "rows"    // the rows of the board
	fileSocket = "sock."   // "sock.A.S": of address A and slot S; of a shared one S is 0
	fileTable  = "table."  // "table.A": the map of address A's sockets, of kind ebpf
	fileInner  = "inner."  // "inner.S": the inner socket of slot S
	fileBook   = "tickets" // the memory of the tickets
)

// BoardNames are the names in Files of the two files of the board.
func BoardNames() (hot, rows string) { return fileHot, fileRows }

// SocketName is the name in Files of the socket of an address and a slot; of a shared one the slot is 0.
func SocketName(address, slot int) string {
	return fileSocket + strconv.Itoa(address) + "." + strconv.Itoa(slot)
}

// InnerName is the name in Files of the inner socket of a slot.
func InnerName(slot int) string { return fileInner + strconv.Itoa(slot) }

// SlotNames are the names in Files of all that a slot has of its own.
func (s *Set) SlotNames(slot int) (names []string) {
	for i := range s.Addresses() {
		names = append(names, SocketName(i, slot))
	}
	return append(names, InnerName(slot))
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
	saved.Inner = s.saveInner()
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
	if s.inner != nil {
		for slot, f := range s.inner.sockets {
			files[InnerName(slot)] = f
		}
	}
	if s.book != nil {
		files[fileBook] = s.book.File()
	}
	for group, f := range s.tables() {
		files[fileTable+strconv.Itoa(group)] = f
	}
	return files
}

// Changes returns a number that grows whenever Files returns other files.
func (s *Set) Changes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// Spare returns a board for a Set that has none, so that an earlier version, which insists on one, can adopt it too: [Board.Files]
// are to be handed on by the names that BoardNames gives. The caller owns it. nil: the Set has one, or none can be made.
func (s *Set) Spare() *ipc.Board {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.board != nil {
		return nil
	}
	board, _ := ipc.NewBoard()
	return board
}
