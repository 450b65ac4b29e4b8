// Package filewatch tells when files under some folders, or at some paths, have changed.
//
// [Watch] runs until its context ends. It follows files, folders with all that is in them, and patterns; what a path names
// later, because a symlink on the way was turned or a folder was made anew, is followed too.
//
//	tree.go      the folders that are watched, and which events count
//	path.go      one path of the config: what it names now, and what would change that
//	debounce.go  when a row of changes is told: after a quiet moment, later and later in a storm
//	watch.go     the goroutine that joins the three with fsnotify
//
// Whether workers are replaced because of a change is for the caller to decide.
package filewatch
