package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
)

// envFolder hands the name of the working folder on to every later process of this tine: the keeper, and the masters that
// follow. It begins with the folder's id, because PWD becomes wrong when a symlink in it is changed.
const envFolder = "TINE_FOLDER"

var errFolderGone = errors.New("the working folder was removed, and its name is not known: give an absolute path, or start tine in another one")

// workingFolder returns the absolute path of the working folder, by the name that the shell gave it. If a symlink is part of
// the name, as current -> releases/7, files that are looked up later are found in the folder that it leads to then. Later
// processes of this tine get the same name. Empty: the name is not known.
//
// A process whose folder was removed executes itself in another folder before it does anything: an upgrade needs a working
// folder that exists, and package tableflip looks for it before main begins.
var workingFolder = sync.OnceValue(func() string {
	path, here := "", folderID()
	// With the id of another folder the variable is that of another tine, which has started this one.
	if named, ok := strings.CutPrefix(os.Getenv(envFolder), here); ok && strings.HasPrefix(named, "/") {
		path = named
	}
	current, err := os.Getwd() // PWD, if that is this folder
	if _, e := os.Stat(current); err != nil || e != nil {
		if path == "" || os.Chdir(path) != nil {
			_ = os.Chdir("/")
		}
		os.Setenv(envFolder, folderID()+path)
		_ = syscall.Exec("/proc/self/exe", os.Args, os.Environ()) // if this fails, upgrades are not possible
		return path
	}
	if os.Getenv(envFolder) == here {
		return "" // it has executed itself, and the name is not known
	}
	path = cmp.Or(path, current)
	os.Setenv(envFolder, here+path)
	return path
})

// folderID returns the device and inode of the working folder.
func folderID() string {
	var here syscall.Stat_t
	_ = syscall.Stat(".", &here) // cannot fail: the folder is open
	return fmt.Sprintf("%d:%d:", here.Dev, here.Ino)
}
