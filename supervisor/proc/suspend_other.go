//go:build !linux

package proc

// watcher does nothing: only Linux tells of a suspension without taking the exit with it.
type watcher struct{}

var suspensions watcher

func (watcher) add(*Process, func(bool)) {}
func (watcher) remove(*Process)          {}
