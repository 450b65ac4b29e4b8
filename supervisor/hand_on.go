package supervisor

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/listen"
)

// Names of what is handed on that belongs to no app.
const (
	keptControl = "control" // the control socket and its lock; not stored: a crash takes the lock along
	keptTCP     = "tcp."    // tcp.WHAT: the listening sockets of health and metrics

	keptDashboard = keptTCP + "dashboard"
)

// handedOn is what this master hands to the one that follows it, beside what the loop
// gives away. While that one takes over, nobody here accepts: who connects waits in the
// kernel's queue for whoever goes on.
type handedOn struct {
	mu       sync.Mutex
	tcp      map[string]*control.SharedListener // by name
	given    map[string][]*os.File              // by socket activation
	followed chan struct{}                      // closed when another master is in charge
}

func newHandedOn() *handedOn {
	return &handedOn{tcp: map[string]*control.SharedListener{}, given: map[string][]*os.File{}, followed: make(chan struct{})}
}

func (h *handedOn) give(name string, g *listen.Given) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.given[name] = append(h.given[name], g.File())
}

func (h *handedOn) share(name string, l *control.SharedListener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tcp[name] = l
}

func (h *handedOn) isFollowed() bool {
	select {
	case <-h.followed:
		return true
	default:
		return false
	}
}

// pause leaves new connections to the master that follows, and adds what it accepts them
// with to files.
func (h *handedOn) pause(files map[string][]*os.File) error {
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

func (h *handedOn) resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.tcp {
		l.Resume()
	}
}

// handing is an Upgrader that hands on what is handedOn too.
type handing struct {
	Upgrader
	s *Supervisor
}

func (h handing) Upgrade(ctx context.Context, binary string, give func() (map[string][]*os.File, error)) error {
	err := h.Upgrader.Upgrade(ctx, binary, func() (map[string][]*os.File, error) {
		files, err := give() // from here on the loop stands still
		if err != nil {
			return nil, err
		}
		if server := h.s.control.Load(); server != nil {
			if files[keptControl], err = server.Hand(); err != nil {
				return nil, err
			}
			server.Release()
		}
		return files, h.s.handed.pause(files) // files are closed by the loop
	})
	if err != nil {
		h.s.handed.resume()
		return err
	}
	close(h.s.handed.followed)
	return nil
}

// listenTCP takes an address, or the socket that the master before this one had there.
// The next one gets it too, also after a crash.
func (s *Supervisor) listenTCP(what, address string) (*control.SharedListener, error) {
	name := keptTCP + what
	if l := s.inheritTCP(name, address); l != nil {
		s.handed.share(name, l)
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
	s.handed.share(name, l)
	if s.store != nil {
		if err := s.storeTCP(name, l); err != nil {
			s.logs.Warn().Str("address", address).Err(err).Msg("cannot keep a listening socket for the next master: should this one crash, connections will be refused for a moment")
		}
	}
	return l, nil
}

func (s *Supervisor) storeTCP(name string, l *control.SharedListener) error {
	f, err := l.File()
	if err != nil {
		return err
	}
	defer f.Close()
	return s.store.Store(name, f)
}

// inheritTCP is nil where the master before this one had no such socket. One that is not
// wanted any more is closed, also where it is stored.
func (s *Supervisor) inheritTCP(name, address string) *control.SharedListener {
	var found *control.SharedListener
	for _, f := range s.inherited[name] {
		l, err := control.Inherit(f)
		f.Close()
		switch {
		case err != nil:
			s.logs.Warn().Str("name", name).Err(err).Msg("a socket of the last master is not used")
		case found == nil && listensAt(l.Addr(), address):
			found = l
		default:
			l.Close()
		}
	}
	if found == nil && s.inherited[name] != nil && s.store != nil {
		if err := s.store.Remove(name); err != nil {
			s.logs.Warn().Str("name", name).Err(err).Msg("a socket of the last master is still kept")
		}
	}
	delete(s.inherited, name)
	return found
}

// listensAt says whether a listener is what listening at address would give: port 0 is
// any.
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

func (s *Supervisor) openDashboard(address string) (net.Listener, error) {
	return s.listenTCP(strings.TrimPrefix(keptDashboard, keptTCP), address)
}

// listenControl takes over the control socket of the master before this one, or makes
// one.
func (s *Supervisor) listenControl(server *control.Server) error {
	files := s.inherited[keptControl]
	if len(files) == 0 {
		return server.Listen()
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
		delete(s.inherited, keptControl)
	}()
	if err := server.Adopt(files); err != nil {
		s.logs.Info().Str("path", server.Path()).Err(err).Msg("the control socket is made anew")
		return server.Listen()
	}
	return nil
}
