package control

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// readOnly makes dir a file system that cannot be written, or for a user who is not
// root, a folder that this user cannot write.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() == 0 {
		if err := unix.Mount("none", dir, "tmpfs", unix.MS_RDONLY, ""); err == nil {
			t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
			return
		}
		t.Skip("NOT TESTED: a read-only file system cannot be mounted here")
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
}
