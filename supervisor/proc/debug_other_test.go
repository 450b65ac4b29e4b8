//go:build !linux

package proc

func hold() {}
