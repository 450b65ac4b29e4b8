package members

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
)

// MostAddresses bounds the addresses of one list.
const MostAddresses = 1000

// CheckAddresses says what is wrong with a list of addresses: each is host:port, or the path of a Unix socket, and none is there twice.
func CheckAddresses(all []string) error {
	if len(all) == 0 || len(all) > MostAddresses {
		return fmt.Errorf("%d members: 1 to %d are expected", len(all), MostAddresses)
	}
	for i, a := range all {
		if slices.Contains(all[:i], a) {
			return fmt.Errorf("member %q is there twice", a)
		}
		if filepath.IsAbs(a) {
			continue
		}
		host, port, err := net.SplitHostPort(a)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
			return fmt.Errorf("member %q is not an address: host:port, as 10.0.0.1:8080, or the path of a Unix socket is expected", a)
		}
	}
	return nil
}

// Network is that of the address of a member, for a dial: unix for the path of a socket, else tcp.
func Network(address string) string {
	if filepath.IsAbs(address) {
		return "unix"
	}
	return "tcp"
}
