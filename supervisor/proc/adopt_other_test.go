//go:build !linux

package proc

func foster() {}
