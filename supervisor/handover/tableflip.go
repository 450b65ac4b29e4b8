//go:build unix

package handover

import (
	"os"
	"runtime"
	"syscall"
	_ "unsafe" // for the name of a variable
)

// This file holds what the package must know of the inside of tableflip, because its API does not offer it.

// startFolder is the folder that tableflip starts the next process in: the working folder that this process had before main
// began. "": the folder that this process is in.
//
//go:linkname startFolder github.com/cloudflare/tableflip.initialWD
var startFolder string

const (
	// envParent is the environment variable of a process that tableflip has started.
	envParent = "TABLEFLIP_HAS_PARENT_7DIU3"
	// firstPipe is the first of the two pipes that such a process has got.
	firstPipe = 3
)

// hideParent keeps what tableflip has given to this process from the children of this process: tableflip does not.
func hideParent() {
	os.Unsetenv(envParent)
	syscall.CloseOnExec(firstPipe)
	syscall.CloseOnExec(firstPipe + 1)
}

// startsNext makes tableflip start binary: it starts os.Args[0]. failed takes that back.
func startsNext(binary string) (failed func()) {
	if _, err := os.Stat(startFolder); err != nil {
		startFolder = "" // the folder was removed or renamed; this process is still in it
	}
	before := os.Args[0]
	os.Args[0] = binary
	return func() {
		os.Args[0] = before
		// tableflip does not close the child's ends of its two pipes: the garbage collector does. Without a collection
		// here, a master whose upgrades fail in a row would hold two descriptors more after each.
		runtime.GC()
	}
}

// parentLives reports whether tableflip has refused to start a process because, as far as its goroutine knows, the master
// before this one has not ended. That goroutine hears of the end a moment after WaitForParent does, and no call waits for it.
// tableflip has no value and no type for this error, so its text is compared, here and nowhere else.
func parentLives(err error) bool { return err != nil && err.Error() == "parent hasn't exited" }
