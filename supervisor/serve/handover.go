package serve

import (
	"errors"
	"net"
	"os"
	"sync"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/listen"
)

// Names of what is handed to the next master that belongs to no app.
const (
	KeptControl = "control" // the control socket and its lock; not stored: a crash takes the lock along
	KeptTCP     = "tcp."    // tcp.WHAT: the listening sockets of health, metrics and dashboard

	dashboardName = "dashboard"
	keptDashboard = KeptTCP + dashboardName
)

// Store keeps descriptors for the next master, should this one crash.
type Store interface {
	Store(name string, files ...*os.File) error
	Remove(name string) error
}

// Inherited is what the master before this one has left. Start takes out of Files what it uses, and what is not wanted any more.
type Inherited struct {
	Files map[string][]*os.File
	Store Store // nil: there is none
}

// Handover is how listeners come from the master before this one and go to the next. While the next one takes over, this one does
// not accept: new connections wait in the listen queue for the master that remains.
type Handover struct {
	log       zerolog.Logger
	inherited Inherited

	mu       sync.Mutex
	tcp      map[string]*control.SharedListener // by name
	given    map[string][]*os.File              // by socket activation
	followed chan struct{}                      // closed when another master is in charge
}

func newHandover() *Handover {
	return &Handover{tcp: map[string]*control.SharedListener{}, given: map[string][]*os.File{}, followed: make(chan struct{})}
}

// Give has a socket that this process was started with handed to the next master too. The file stays open until then.
func (h *Handover) Give(name string, f *os.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.given[name] = append(h.given[name], f)
}
func (h *Handover) share(name string, l *control.SharedListener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tcp[name] = l
}

// Follow says that another master is in charge.
func (h *Handover) Follow() { close(h.followed) }

func (h *Handover) isFollowed() bool {
	select {
	case <-h.followed:
		return true
	default:
		return false
	}
}

// Pause leaves new connections to the next master, and adds to files what it accepts them with.
func (h *Handover) Pause(files map[string][]*os.File) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, all := range h.given {
		for _, f := range all {
			d, err := ipc.Duplicate(f)
			if err != nil {
				return err
			}
			files[name] = append(files[name], d)
		}
	}
	for name, l := range h.tcp {
		f, err := l.File()
		if errors.Is(err, net.ErrClosed) {
			continue // it has ended, which was logged
		}
		if err != nil {
			return err
		}
		files[name] = append(files[name], f)
		l.Pause()
	}
	return nil
}

// Resume takes new connections again.
func (h *Handover) Resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.tcp {
		l.Resume()
	}
}

// listen listens at an address, with the socket that the master before this one had there, if it had one. The next master gets the
// socket too, also after a crash.
func (h *Handover) listen(what, address string) (*control.SharedListener, error) {
	name := KeptTCP + what
	if l := h.inherit(name, address); l != nil {
		h.share(name, l)
		return l, nil
	}
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return nil, listen.InUse(err, address)
	}
	l, err := control.Share(tcp)
	if err != nil {
		tcp.Close()
		return nil, err
	}
	h.share(name, l)
	if h.inherited.Store != nil {
		if err := h.keep(name, l); err != nil {
			h.log.Warn().Str("address", address).Err(err).Msg("cannot keep a listening socket for the next master: should this one crash, connections will be refused for a moment")
		}
	}
	return l, nil
}

func (h *Handover) keep(name string, l *control.SharedListener) error {
	f, err := l.File()
	if err != nil {
		return err
	}
	defer f.Close()
	return h.inherited.Store.Store(name, f)
}

// inherit returns the socket of that name that the master before this one had, if it is of this address; else nil. A socket of
// another address is closed, also where it is stored.
func (h *Handover) inherit(name, address string) *control.SharedListener {
	var found *control.SharedListener
	for _, f := range h.inherited.Files[name] {
		l, err := control.Inherit(f)
		f.Close()
		switch {
		case err != nil:
			h.log.Warn().Str("name", name).Err(err).Msg("a socket of the last master is not used")
		case found == nil && listensAt(l.Addr(), address):
			found = l
		default:
			l.Close()
		}
	}
	if found == nil && h.inherited.Files[name] != nil && h.inherited.Store != nil {
		if err := h.inherited.Store.Remove(name); err != nil {
			h.log.Warn().Str("name", name).Err(err).Msg("a socket of the last master is still kept")
		}
	}
	delete(h.inherited.Files, name)
	return found
}

// drop closes a socket of the last master that is not wanted any more, also where it is stored.
func (h *Handover) drop(name string) { h.inherit(name, "") }

// listensAt reports whether a listener is what listening at address would give: port 0 is any.
func listensAt(is net.Addr, address string) bool {
	at, ok := is.(*net.TCPAddr)
	if !ok || address == "" {
		return false
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return false
	}
	anywhere := len(want.IP) == 0 || want.IP.IsUnspecified()
	return (want.Port == 0 || want.Port == at.Port) && (anywhere && at.IP.IsUnspecified() || want.IP.Equal(at.IP))
}

func (h *Handover) listenDashboard(address string) (net.Listener, error) {
	return h.listen(dashboardName, address)
}

// listenControl takes over the control socket of the master before this one, or makes one.
func (h *Handover) listenControl(server *control.Server) error {
	files := h.inherited.Files[KeptControl]
	if len(files) == 0 {
		return server.Listen()
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
		delete(h.inherited.Files, KeptControl)
	}()
	if err := server.Adopt(files); err != nil {
		h.log.Info().Str("path", server.Path()).Err(err).Msg("the control socket is made anew")
		return server.Listen()
	}
	return nil
}
