package proc

import "golang.org/x/sys/unix"

// mayExecute asks with the effective user id: that is the one exec goes by.
func mayExecute(path string) error {
	err := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
	// A sandbox may not know the call: then exec itself gives the answer.
	if err == unix.EPERM || err == unix.ENOSYS {
		return nil
	}
	return err
}
