package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// envFolder hands the working folder's name on to every later process of this tine: keeper, masters that follow. PWD is right
// only as long as nobody turns a symlink in it; this one says which folder it was the name of.
const envFolder = "TINE_FOLDER"

// workingFolder is the absolute path of the working folder, by the name that the shell gave it: where that leads through a
// symlink, as current -> releases/7, all that is looked up anew follows it to where it leads by then. "": the system does not
// say. Later processes of this tine find the same.
func workingFolder() string {
	var here syscall.Stat_t
	if err := syscall.Stat(".", &here); err != nil {
		return ""
	}
	id := fmt.Sprintf("%d:%d:", here.Dev, here.Ino)
	// Of another folder it is of another tine, which this one was started below.
	if path, ok := strings.CutPrefix(os.Getenv(envFolder), id); ok && strings.HasPrefix(path, "/") {
		return path
	}
	path, err := os.Getwd() // PWD, where that is this folder
	if err != nil {
		return ""
	}
	os.Setenv(envFolder, id+path)
	return path
}
