package listen

import "os"

// group is the sockets of one address.
type group struct {
	address Address
	shared  bool
	at      endpoint   // of TCP, resolved when slot 0 is opened
	sockets []*os.File // by slot; only the first if shared
	file    socketFile // of a Unix-domain address; of a given one empty, so that its file stays
	given   *Given     // is slot 0's socket, or the shared one; nil: it is opened here
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
	return nil
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
		return joinTCP(g.at, keepOut)
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
	// The file goes first: who connects meanwhile finds nothing rather than a socket that nobody serves.
	if g.address.Network == "unix" {
		g.file.remove()
	}
	g.sockets[slot].Close()
	g.sockets = g.sockets[:slot]
}

func (g *group) queue(slot int) (n int, err error) {
	read := tcpQueue
	if g.shared {
		read = pollQueue
	}
	err = control(g.socket(slot), func(fd int) error {
		n, err = read(fd)
		return err
	})
	return n, err
}
