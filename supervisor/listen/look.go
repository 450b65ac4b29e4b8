package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tinehq/tine/ipc"
)

// Sight is what a client would find at one address. The zero Why is one of this Set's sockets.
type Sight struct {
	Address Address
	Why     string // a client finds none of this Set's sockets; in words
	// Lost: the name of a Unix-domain socket leads to it no more, so that only a new one can be reached: see [Set.Renew].
	Lost bool

	mark string // as long as it is equal, nothing has changed
}

// Same reports whether two looks at an address have seen the same.
func (s Sight) Same(o Sight) bool { return s.mark == o.mark && s.Why == o.Why && s.Lost == o.Lost }

// Look says of each address whether a client would reach this Set, in the order of [Set.Addresses]. It makes no connection, so
// that no worker is woken, counts or logs anything, whatever program serves:
//
//   - Of TCP the kernel is asked which socket it would give a connection from a client here to, by the very look-up that a
//     client's first packet goes through (sock_diag), and whether an interface has the address.
//   - Of a Unix-domain address the path is followed as connect does, and has to lead to the file of the socket.
//
// What cannot be asked (elsewhere than on Linux, in a network namespace that is not this process's, with Multipath TCP) counts
// as reachable, as long as the sockets listen. A firewall is not seen. It may wait for a disk, and holds no lock meanwhile.
// Without an open slot there is nothing to see: nil. before is what the last Look has said, or nil: the process that is in the way is
// searched for once only.
func (s *Set) Look(before []Sight) []Sight {
	s.mu.Lock()
	var all []glance
	if !s.closed && s.slots > 0 {
		for _, g := range s.groups {
			all = append(all, g.glance())
		}
	}
	s.mu.Unlock()
	var sights []Sight
	for i, one := range all {
		sight := Sight{Address: one.address}
		if one.address.Network == "unix" {
			one.lookAtFile(&sight)
		} else {
			var last Sight
			if i < len(before) {
				last = before[i]
			}
			one.lookAtPort(&sight, last)
		}
		sights = append(sights, sight)
	}
	return sights
}

// glance is what a look needs of a group, taken under the Set's lock.
type glance struct {
	address Address
	at      endpoint
	file    socketFile      // of a Unix-domain address
	given   bool            // by another process, which alone can make it again
	deaf    bool            // none of the sockets listens
	own     map[uint64]bool // of TCP: the cookies of the sockets; empty: they cannot be compared
}

func (g *group) glance() glance {
	l := glance{address: g.address, at: g.at, file: g.file, given: g.given != nil, own: map[uint64]bool{}, deaf: true}
	if g.given != nil {
		l.file = g.given.name
	}
	for _, f := range g.sockets {
		l.deaf = l.deaf && isDeaf(f) // one that listens is enough
		if g.address.Network == "unix" {
			continue
		}
		_ = ipc.Control(f, func(fd int) error {
			if cookie, ok := tableCookie(fd); ok {
				l.own[cookie] = true
			}
			return nil
		})
	}
	return l
}

// lookAtFile follows the path as connect does.
func (l glance) lookAtFile(s *Sight) {
	if l.file.path == "" {
		return // it is not known what it was
	}
	info, err := os.Stat(l.file.path)
	is := identityOf(info)
	is.path = l.file.path
	folder := filepath.Dir(l.file.path)
	switch {
	case err == nil && is == l.file && !l.deaf:
		return
	case err == nil && is == l.file:
		s.Why = "the socket listens no more"
	case errors.Is(err, fs.ErrNotExist) && !isFolder(folder):
		s.Why = fmt.Sprintf("the folder %s is gone: make it again", folder)
	case errors.Is(err, fs.ErrNotExist):
		s.Why, s.Lost = fmt.Sprintf("the file %s is gone", l.file.path), true
	case err != nil:
		s.Why = fmt.Sprintf("the path cannot be followed: %v", err)
	case info.Mode().Type() != fs.ModeSocket:
		s.Why = fmt.Sprintf("%s is something else now, not a socket: remove it", l.file.path)
	default:
		s.Why, s.Lost = fmt.Sprintf("%s is the socket of another process now", l.file.path), true
	}
	s.mark = fmt.Sprintf("%d:%d %t %s", is.dev, is.ino, l.deaf, s.Why)
	if l.given && s.Lost {
		s.Why, s.Lost = s.Why+"; the program that started tine opened it and must open it again", false
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func identityOf(info fs.FileInfo) socketFile {
	if info == nil {
		return socketFile{}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return socketFile{}
	}
	return socketFile{dev: uint64(st.Dev), ino: st.Ino}
}

// Renewal is a new socket for a Unix-domain address. It is in the file system already, and clients wait in its queue. It is
// for [Set.Install], or [Renewal.Close].
type Renewal struct {
	Address Address
	index   int // of the address
	file    *os.File
	name    socketFile
}

// Close gives it up, with its file.
func (r *Renewal) Close() {
	r.name.remove()
	r.file.Close()
}

// Renew makes the socket again at an address that Look has found lost. A file there that no process listens on is replaced; who
// listens there is left alone, and is an [*InUseError]. The Set is as it was until the Renewal is installed. It may wait for a
// disk, and holds no lock.
func (s *Set) Renew(index int) (*Renewal, error) {
	s.mu.Lock()
	var a Address
	err := errClosed
	if !s.closed && s.slots > 0 && index < len(s.groups) && s.groups[index].file.path != "" {
		a, err = s.groups[index].address, nil
		a.Addr = s.groups[index].file.path // whatever the working folder is now
	}
	s.mu.Unlock()
	if err == nil {
		var f *os.File
		var name socketFile
		if f, name, err = listenUnix(a); err == nil {
			return &Renewal{a, index, f, name}, nil
		}
	}
	return nil, fmt.Errorf("cannot make the socket again: %w", err)
}

// Install puts a new socket in the place of the one that cannot be reached, and tells whose workers are to be replaced: they
// hold that one, and serve what they have from it until then. ok is false, and the Renewal given up, where the Set is closed
// by now.
func (s *Set) Install(r *Renewal, why string) (m Mended, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.slots == 0 {
		r.Close()
		return Mended{}, false
	}
	g := s.groups[r.index]
	g.sockets[0].Close()
	g.lost(0)
	g.sockets[0], g.file = r.file, r.name
	g.joined(0)
	s.changes++
	s.tell()
	return Mended{Slot: AllSlots, What: "the socket of " + g.address.String(), Why: why, New: []string{SocketName(r.index, 0)}}, true
}

// lookAtPort asks the kernel.
func (l glance) lookAtPort(s *Sight, before Sight) {
	if l.deaf {
		s.Why, s.mark = "no socket of it listens any more", "deaf"
		return
	}
	if len(l.own) == 0 {
		return
	}
	if s.Why = whyNotHere(l.at); s.Why != "" {
		s.mark = s.Why
		return
	}
	s.Why, s.mark = l.at.lookUp(l.own, before)
}
