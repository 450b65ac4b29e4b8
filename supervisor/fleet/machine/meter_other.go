//go:build !linux

package machine

func memory() (free, total float64, ok bool) { return 0, 0, false }

func cpus() (cpu, bool) { return cpu{}, false }
