package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
)

// envFolder hands the working folder's name on to every later process of this tine: keeper, masters that follow. PWD is right
// only as long as nobody turns a symlink in it; this one says which folder it was the name of.
const envFolder = "TINE_FOLDER"

var errFolderGone = errors.New("the working folder was removed, and its name is not known: give an absolute path, or start tine in another one")

// workingFolder is the absolute path of the working folder, by the name that the shell gave it: where that leads through a
// symlink, as current -> releases/7, all that is looked up anew follows it to where it leads by then. "": the system does not
// say. Later processes of this tine find the same. A process whose folder was removed is executed anew, before it has done
// anything, in one that is there: an upgrade takes that, and package tableflip looks for it before main begins.
var workingFolder = sync.OnceValue(func() string {
	path, here := "", folderID()
	// Of another folder it is of another tine, which this one was started below.
	if named, ok := strings.CutPrefix(os.Getenv(envFolder), here); ok && strings.HasPrefix(named, "/") {
		path = named
	}
	current, err := os.Getwd() // PWD, where that is this folder
	if _, e := os.Stat(current); err != nil || e != nil {
		if path == "" || os.Chdir(path) != nil {
			_ = os.Chdir("/")
		}
		os.Setenv(envFolder, folderID()+path)
		_ = syscall.Exec("/proc/self/exe", os.Args, os.Environ()) // if not, there are no upgrades
		return path
	}
	if os.Getenv(envFolder) == here {
		return "" // it was executed anew, and the name is not known
	}
	if path == "" {
		path = current
	}
	os.Setenv(envFolder, here+path)
	return path
})

// folderID says which folder this process is in.
func folderID() string {
	var here syscall.Stat_t
	_ = syscall.Stat(".", &here) // fails for none that was entered
	return fmt.Sprintf("%d:%d:", here.Dev, here.Ino)
}
