package listen

import (
	"os"
	"slices"

	"github.com/tinehq/tine/ipc"
)

// group is the sockets of one address.
type group struct {
	address Address
	shared  bool
	at      endpoint     // of TCP, resolved when slot 0 is opened
	sockets []*os.File   // by slot; only the first if shared
	order   []int        // slots whose sockets listen, as the kernel numbers them: see lost
	jumbled bool         // order may be another: how the kernel numbers them is not known
	file    socketFile   // of a Unix-domain address; of a given one empty, so that its file stays
	given   *Given       // is slot 0's socket, or the shared one; nil: it is opened here
	names   []socketFile // of inner sockets, by slot
}

func (g *group) socket(slot int) *os.File {
	if g.shared {
		slot = 0
	}
	return g.sockets[slot]
}

// open adds the socket of the next slot. The first claims the address; keepOut is called right before a further one joins
// it.
func (g *group) open(slot int, keepOut func() error) error {
	if slot > 0 && g.shared {
		return nil
	}
	f, err := g.listen(slot, keepOut)
	if err != nil {
		return err
	}
	g.sockets = append(g.sockets, f)
	g.joined(slot)
	return nil
}

// joined: the slot's socket listens. The kernel gives it the next number of the group.
func (g *group) joined(slot int) {
	if len(g.order) == 0 {
		g.jumbled = false
	}
	g.order = append(g.order, slot)
}

// lost: the slot's socket listens no more. The kernel gives its number to the last of the group.
func (g *group) lost(slot int) {
	at, last := slices.Index(g.order, slot), len(g.order)-1
	if at < 0 {
		return
	}
	g.order[at] = g.order[last]
	g.order = g.order[:last]
}

// listens reports whether the slot's socket does, as far as it is known.
func (g *group) listens(slot int) bool {
	if g.shared {
		slot = 0
	}
	if slot < len(g.order) && g.order[slot] == slot { // nearly always
		return true
	}
	return slices.Contains(g.order, slot)
}

// inOrder reports whether each socket has the number of its slot.
func (g *group) inOrder() bool {
	for i, slot := range g.order {
		if slot != i {
			return false
		}
	}
	return len(g.order) == len(g.sockets)
}

// member is the socket of the lowest slot that listens; nil: none does.
func (g *group) member() *os.File {
	if len(g.order) == 0 {
		return nil
	}
	return g.sockets[slices.Min(g.order)]
}

func (g *group) listen(slot int, keepOut func() error) (*os.File, error) {
	if slot == 0 && g.given != nil {
		return duplicate(g.given.file)
	}
	if g.address.Network == "unix" {
		f, file, err := listenUnix(g.address)
		g.file = file
		return f, err
	}
	if slot > 0 {
		return g.join(keepOut)
	}
	if g.at.port == 0 { // once resolved, an address stays, also when slot 0 is opened again
		ep, err := g.address.resolve()
		if err != nil {
			return nil, err
		}
		g.at = ep
	}
	f, at, err := claimTCP(g.at, !g.shared)
	if err != nil {
		return nil, err
	}
	g.at, g.address = at, g.address.withPort(at.port)
	return f, nil
}

func (g *group) closeSlot(slot int) {
	if g.shared && slot > 0 {
		return
	}
	// The file goes first: a client that connects meanwhile finds no file rather than a socket without a worker.
	if g.address.Network == "unix" {
		g.file.remove()
	}
	g.sockets[slot].Close()
	g.sockets = g.sockets[:slot]
	g.lost(slot)
}

func (g *group) queue(slot int) (n int, err error) {
	read := tcpQueue
	if g.shared {
		read = pollQueue
	}
	err = ipc.Control(g.socket(slot), func(fd int) error {
		n, err = read(fd)
		return err
	})
	return n, err
}
