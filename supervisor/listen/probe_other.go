//go:build !linux

package listen

import "runtime"

func probe() []Capability {
	return []Capability{{
		Name:   string(KindHash),
		Detail: "the kernel of " + runtime.GOOS + " does not spread connections over the sockets of an address: slots share one",
		Needs:  "Linux",
	}}
}
