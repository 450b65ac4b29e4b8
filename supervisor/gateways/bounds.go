package gateways

import (
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/fleet"
)

// bounds are those by which the members of a gateway are judged.
func bounds(c config.Gateway) fleet.Options {
	return fleet.Options{
		Fall: c.Check.Fall, Rise: c.Check.Rise,
		Failures: c.Eject.Failures, Ejected: c.Eject.For, Longest: c.Eject.Longest, Panic: c.Panic, SlowStart: c.SlowStart,
	}
}
