//go:build !linux

package proc

// bound runs fork: only Linux lets a process choose its CPU.
func bound(_ []int, fork func()) { fork() }
