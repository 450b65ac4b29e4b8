//go:build !linux

package listen

// What the kernel would do with a connection cannot be asked here.

func tableCookie(int) (cookie uint64, ok bool) { return 0, false }

func whyNotHere(endpoint) string { return "" }

func (endpoint) lookUp(map[uint64]bool, Sight) (why, mark string) { return "", "" }
