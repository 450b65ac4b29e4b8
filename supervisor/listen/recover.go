package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// Recover makes what Save has told from what Files has told, for when the first is lost. addresses are those that the Set
// listens on, in their order; with port 0 any port will do. slots is the least number of slots; there are
// more if there are sockets of more. All are admitted.
//
// An error says what does not fit: then these are the files of another Set.
func Recover(files map[string]*os.File, addresses []Address, slots int) (saved Saved, err error) {
	for i, a := range addresses {
		sa, own, err := recoverAddress(files, i, a)
		if err != nil {
			return Saved{}, fmt.Errorf("cannot recover the sockets: %w", err)
		}
		saved.Addresses = append(saved.Addresses, sa)
		slots = max(slots, own)
	}
	if files[SocketName(len(addresses), 0)] != nil {
		return Saved{}, fmt.Errorf("cannot recover the sockets: they are of more than %d addresses", len(addresses))
	}
	saved.Bare = len(addresses) == 0 && files[fileHot] == nil
	saved.Board = ipc.BoardVersion // as far as is known
	saved.Slots, saved.Admitted = min(slots, ipc.MaxSlots), first(min(slots, ipc.MaxSlots))
	return saved, nil
}

// recoverAddress also says how many slots have a socket of their own; 0: they share one.
func recoverAddress(files map[string]*os.File, i int, a Address) (sa SavedAddress, slots int, err error) {
	for files[SocketName(i, slots)] != nil {
		slots++
	}
	if slots == 0 {
		return sa, 0, fmt.Errorf("file %q is missing", SocketName(i, 0))
	}
	var is Given
	reuse := 0
	err = ipc.Control(files[SocketName(i, 0)], func(fd int) (err error) {
		if reuse, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT); err != nil {
			reuse = 0
		}
		return is.locate(fd)
	})
	if err != nil {
		return sa, 0, fmt.Errorf("file %q: %w", SocketName(i, 0), err)
	}
	other := fmt.Errorf("%s is wanted, and the socket is at %s", a, is.address)
	sa = SaveAddress(a)
	sa.Shared = reuse == 0 || a.Network == "unix"
	if a.Network == "unix" {
		if is.address.Network != "unix" || is.address.Place() != a.Place() {
			return sa, 0, other
		}
		path := is.address.Addr
		info, err := os.Lstat(path)
		if err != nil || info.Mode()&fs.ModeSocket == 0 {
			return sa, 0, errors.Join(other, err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			sa.Path, sa.Dev, sa.Ino = path, uint64(st.Dev), uint64(st.Ino)
		}
		return sa, 0, nil
	}
	want, err := a.resolve()
	if err != nil {
		return sa, 0, err
	}
	if is.at.ip != want.ip || is.at.dual != want.dual || want.port != 0 && is.at.port != want.port {
		return sa, 0, other
	}
	sa.Addr = a.withPort(is.at.port).Addr
	sa.IP, sa.Dual, sa.Port = is.at.ip.String(), is.at.dual, is.at.port
	if sa.Shared {
		slots = 0
	}
	return sa, slots, nil
}
