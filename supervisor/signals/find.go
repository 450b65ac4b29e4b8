package signals

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Find reads the name of a signal, with or without SIG, in any case, or a number. Number is 0 if there is no such signal; name is
// then what was looked for.
func Find(text string) (number int, name string) {
	name = strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return int(sig), unix.SignalName(sig)
	}
	if n, err := strconv.Atoi(text); err == nil && n > 0 && unix.SignalName(syscall.Signal(n)) != "" {
		return n, unix.SignalName(syscall.Signal(n))
	}
	return 0, name
}
