package processes

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Probe says why a Source could not tell all of the processes of this host; nil: it could. It does what a sample does, once.
func Probe() error {
	if err := dump(unix.AF_INET, unix.IPPROTO_TCP, 1<<stateListen, func(uint8, netip.AddrPort, uint64) {}); err != nil {
		return fmt.Errorf("cannot ask the kernel for connections (sock_diag): %w", err)
	}
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return err
	}
	all, err := proc.AllProcs()
	if err != nil {
		return fmt.Errorf("cannot read the list of processes: %w", err)
	}
	for _, p := range all {
		at := filepath.Join(procfs.DefaultMountPoint, fmt.Sprint(p.PID))
		info, err := os.Stat(at)
		if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) == os.Geteuid() {
			continue // it has ended, or is this user's
		}
		if _, err := os.ReadDir(filepath.Join(at, "fd")); errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("cannot read the open files of other users' processes: %w", err)
		}
	}
	return nil
}
